"""The commands that restart the registry run to their end, and a failure is one sentence."""

from pathlib import Path

import pytest

from service.domain.errors import CollectionFailed
from service.registry.restart import run_command


def test_a_command_that_succeeds_reports_nothing() -> None:
    run_command("gc.after", ["true"], 60)


@pytest.mark.parametrize(
    ("command", "timeout_s", "sentence"),
    [
        (["sh", "-c", "echo no; echo such unit >&2; exit 3"], 60, "gc.after ended with exit code 3: no / such unit"),
        (["/no/such/program"], 60, "gc.after cannot be run: "),
        (["sleep", "600"], 0.1, "gc.after took longer than 0 s and was stopped"),
    ],
)
def test_a_failed_command_is_reported(command: list[str], timeout_s: float, sentence: str) -> None:
    with pytest.raises(CollectionFailed) as raised:
        run_command("gc.after", command, timeout_s)
    assert str(raised.value).startswith(sentence)


def test_processes_that_a_command_leaves_running_are_not_waited_for(tmp_path: Path) -> None:
    waiting = f"echo started; (while ! [ -e {tmp_path}/go ]; do sleep 0.05; done; touch {tmp_path}/ended) &"
    run_command("gc.after", ["sh", "-c", waiting], 60)
    assert not (tmp_path / "ended").exists()
    (tmp_path / "go").touch()
