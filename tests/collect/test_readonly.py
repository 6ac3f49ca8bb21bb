"""gc.gate: readonly: nothing is swept before the registry was seen to be read-only, and afterwards it is not."""

from pathlib import Path
from typing import Any

import pytest

from service.clock import now_ms
from service.collect import restarting
from service.collect import run as collect_run
from service.collect.readonly import READ_ONLY
from service.domain.collection.run import STALE, BlobProbe, Sweep
from service.domain.errors import StaysReadOnly
from service.registry.restart import run_command
from tests.conftest import keep_last
from tests.support.collectors import QUIET, collector
from tests.support.system import SHOP, Make, System
from workers.sweep import sweep

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart that does not help is not waited for."""
    monkeypatch.setattr(restarting, "RESTART_S", 0.0)


def system_of(make_system: Make, folder: Path, body: str = QUIET, **gc: Any) -> System:
    """A system whose commands only leave a trace: the fake registry is in this process."""
    commands = {name: ["sh", "-c", f"echo {name} >> {folder}/commands"] for name in ("before", "after")}
    system = make_system(keep_last(5), gc={**collector(folder, body), "gate": "readonly", **commands, **gc})
    system.store.collections.request_if_none("scheduled")
    return system


def commands(folder: Path) -> list[str]:
    file = folder / "commands"
    return file.read_text().split() if file.exists() else []


def becomes(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make gc.before turn the registry read-only, and gc.after turn it writable."""

    def obey(name: str, *args: Any) -> None:
        run_command(name, *args)
        system.registry.readonly = name == "gc.before"

    monkeypatch.setattr("service.collect.restarting.run_command", obey)


def test_garbage_is_collected_while_the_registry_is_read_only(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_of(make_system, tmp_path)
    becomes(system, monkeypatch)
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.gate, run.note) == (
        "done",
        "readonly",
        "no deleted blob could be used to test the registry for a stale cache",
    )
    assert commands(tmp_path) == ["before", "after"]
    assert (tmp_path / "swept").exists()
    assert not system.registry.readonly
    assert not system.store.collections.may_be_read_only()


def test_the_read_only_state_is_noted_before_the_registry_enters_it(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies right after gc.before leaves gc.after to the next worker."""
    system = system_of(make_system, tmp_path)
    noted: list[bool] = []

    def obey(name: str, *_: Any) -> None:
        noted.append(system.store.collections.may_be_read_only())
        system.registry.readonly = name == "gc.before"

    monkeypatch.setattr("service.collect.restarting.run_command", obey)
    collect_run.collect(system.wiring)
    assert noted == [True, True]
    assert not system.store.collections.may_be_read_only()


def test_nothing_is_swept_when_it_still_takes_writes(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path)
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert run.result == "failed"
    assert "gc.before ended, but the registry still accepts writes" in run.message
    assert not (tmp_path / "dry").exists()
    assert commands(tmp_path) == ["before", "after"], "whatever it did is undone"
    assert not system.store.collections.may_be_read_only()


@pytest.mark.parametrize("body", ["print('boom'); sys.exit(1)", "sys.exit(0 if dry else 1)"])
def test_the_registry_is_writable_again_also_after_a_run_that_fails(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    system = system_of(make_system, tmp_path, body)
    becomes(system, monkeypatch)
    collect_run.collect(system.wiring)
    assert system.store.collection_runs.latest()[0].result == "failed"
    assert commands(tmp_path) == ["before", "after"]
    assert not system.registry.readonly


def test_a_registry_that_stays_read_only_is_an_alarm_until_it_accepts_writes(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_of(make_system, tmp_path)
    system.registry.readonly = True
    collect_run.collect(system.wiring)
    (run,) = system.store.collection_runs.latest()
    assert (run.result, run.message.partition(":")[0]) == (
        "failed", "the registry was made read-only for a collection and still is",
    )  # fmt: skip
    alarms = {trouble.about for trouble in system.store.outbox.troubles()}
    assert READ_ONLY in alarms
    becomes(system, monkeypatch)
    collect_run.collect(system.wiring)
    assert not system.store.outbox.troubles()


def test_a_worker_that_died_meanwhile_is_made_up_for_though_nothing_is_wanted_any_more(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_of(make_system, tmp_path)
    system.store.collections.collected("scheduled", (0, 0))
    system.store.collections.note_read_only()
    system.registry.readonly = True
    sweep(system.wiring)
    assert ("collect",) in system.messages.sent
    with pytest.raises(StaysReadOnly):
        collect_run.collect(system.wiring)
    becomes(system, monkeypatch)
    collect_run.collect(system.wiring)
    assert not system.registry.readonly
    assert not system.store.collections.may_be_read_only()
    assert not (tmp_path / "dry").exists()


def test_while_its_cache_lies_it_stays_read_only(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_of(make_system, tmp_path)
    becomes(system, monkeypatch)
    system.store.collections.request_if_none("by hand")
    assert system.store.collections.begin_check(Sweep(now_ms(), (BlobProbe(SHOP, "sha256:" + "a" * 64),)))
    system.registry.fail_next("HEAD", "/blobs/", status=200, times=None)
    collect_run.collect(system.wiring)
    assert STALE in {trouble.about for trouble in system.store.outbox.troubles()}
    assert system.registry.readonly
    assert commands(tmp_path) == ["before", "before"], "the second restart was to mend it"
    system.registry.faults.clear()
    collect_run.collect(system.wiring)
    assert [run.result for run in system.store.collection_runs.latest()] == ["done", "failed"]
    assert not system.registry.readonly


def test_a_command_that_fails_says_why(make_system: Make, tmp_path: Path) -> None:
    system = system_of(make_system, tmp_path, before=["sh", "-c", "echo no such unit; exit 4"])
    collect_run.collect(system.wiring)
    assert system.store.collection_runs.latest()[0].message == "gc.before ended with exit code 4: no such unit"
