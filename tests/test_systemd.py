"""The systemd units: systemd accepts them, they start every process once, with the rights that it needs and no more."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from service.cli.main import VERBS, pushprune
from service.dispatch import QUEUES
from tests.support import manual

UNITS = sorted((Path(__file__).parents[1] / "config" / "systemd").glob("*.service"))
PROGRAM = "/opt/pushprune/bin/pushprune"


def command(unit: Path) -> list[str]:
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def test_every_unit_starts_a_verb_with_options_that_exist() -> None:
    verbs = []
    for unit in UNITS:
        program, verb, *options = command(unit)
        assert program == PROGRAM
        assert verb in VERBS
        started = pushprune.get_command(click.Context(pushprune), verb)
        assert started is not None
        started.make_context(verb, options)
        verbs.append(verb)
    assert sorted(verbs) == ["gate", "web", "worker", "worker"]


def test_the_commands_of_the_manual_enable_the_units_and_disable_them_again(tmp_path: Path) -> None:
    systemctl = shutil.which("systemctl")
    assert systemctl, "systemctl is missing; `make test` installs it as root on Debian (package systemd)"
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(unit, folder)

    def run(verb: str) -> int:
        """Run the commands of the manual, and return the number of units that start with the machine then."""
        for line in manual.page("install").splitlines():
            words = shlex.split(line, comments=True) if f"systemctl {verb}" in line else []
            if words[:2] == ["systemctl", verb]:
                names = [word for word in words[2:] if word != "--now"]
                subprocess.run([systemctl, f"--root={tmp_path}", verb, *names], check=True, capture_output=True)
        return sum(path.is_symlink() for path in folder.rglob("*"))

    assert run("enable") == len(UNITS)
    subprocess.run([systemctl, f"--root={tmp_path}", "enable", "pushprune-worker@2"], check=True, capture_output=True)
    assert run("disable") == 0


def test_the_workers_serve_every_queue_once() -> None:
    lists = [words[words.index("--queues") + 1] for words in map(command, UNITS) if "worker" in words]
    assert sorted(",".join(lists).split(",")) == sorted(QUEUES.values())


def test_every_unit_comes_back_and_is_hardened() -> None:
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        for line in ("Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="):
            assert line in lines, unit.name
        assert any(line.startswith("User=") and line != "User=root" for line in lines)


@pytest.mark.live
def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing; `make test` installs it as root on Debian"
    for unit in UNITS:
        there = tmp_path / unit.name
        there.write_text(unit.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("pushprune"))))
        done = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
