"""`pushprune policy diff` and `policy edit`: the effect of a policy is seen before it takes force."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeWiring
from tests.support.record import event, record
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture

KEEP_2 = "rules: [{name: last, keep: {last: 2}}]\n"
KEEP_1 = "rules: [{name: last, keep: {last: 1}}]\n"


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the policy in force: keep the last two of v1, v2, v3."""
    file = tmp_path / "policy.yaml"
    file.write_text(KEEP_2)
    file.chmod(0o640)
    monkeypatch.setenv("PUSHPRUNE_POLICY", str(file))
    return file


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """editor(code): $EDITOR runs this Python code, in which `file` is the path of the draft."""

    def install(code: str) -> None:
        script = tmp_path / "editor.py"
        # click takes a file as changed by its time of modification, in seconds.
        later = "os.utime(file, (os.stat(file).st_atime, os.stat(file).st_mtime + 5))"
        script.write_text(f"import os, pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n{code}\n{later}\n")
        monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")

    return install


def test_diff_counts_what_is_kept_today_and_what_would_be_kept_again(
    run: Run, make_wiring: MakeWiring, policy: Path, tmp_path: Path
) -> None:
    record(make_wiring().store.history, *(event(n, tag=f"w{n}", repository="shop/web") for n in (4, 5, 6)))
    other = tmp_path / "other.yaml"
    other.write_text(
        "rules: [{name: web, repos: [shop/web], keep: {last: 1}}, {name: api, repos: [shop/api], keep: always}]"
    )
    code, output, _ = run("policy", "diff", str(other))
    assert code == 0
    assert "kept today, deleted by this policy: 1 tag, 1 image, 400 B" in output
    assert "deleted today, kept by this policy: 1 tag, 1 image, 400 B" in output
    assert "shop/web:w5" in output
    answer = json.loads(run("policy", "diff", str(other), "--json")[1])
    assert [(row["repository"], row["lost"]["tags"], row["saved"]["tags"]) for row in answer["repositories"]] == [
        ("shop/api", 0, 1), ("shop/web", 1, 0),
    ]  # fmt: skip
    assert answer["lost"] == {"name": "", "tags": 1, "digests": 1, "size_bytes": 400, "unsized": 0}
    assert run("policy", "diff", str(other), "-o", "name")[1] == "shop/web:w5\n"
    assert run("policy", "diff", str(other), "--exit-code")[0] == 3
    assert run("policy", "diff", str(other), "shop/api", "--exit-code")[0] == 0
    assert policy.read_text() == KEEP_2


def test_the_same_policy_makes_no_difference(run: Run, policy: Path) -> None:
    code, output, _ = run("policy", "diff", str(policy), "--exit-code")
    assert (code, output) == (0, "no difference: this policy deletes what the policy in force deletes\n")


def test_edit_shows_the_effect_and_replaces_the_file_at_once(
    run: Run, policy: Path, editor: Callable[[str], None]
) -> None:
    editor(f"file.write_text({KEEP_1!r})")
    before = policy.stat().st_ino
    code, output, error = run("policy", "edit", "--yes")
    assert (code, policy.read_text()) == (0, KEEP_1), error
    assert "kept today, deleted by this policy: 1 tag, 1 image, 400 B" in output
    assert (policy.stat().st_ino != before, stat.S_IMODE(policy.stat().st_mode)) == (True, 0o640)
    assert sorted(os.listdir(policy.parent)) == ["editor.py", "policy.yaml"], "no draft is left"


def test_without_an_agreement_nothing_changes(
    run: Run, policy: Path, editor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(f"file.write_text({KEEP_1!r})")
    assert run("policy", "edit")[0] == 2, "there is no terminal to ask on"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", _refuse)
    code, output, _ = run("policy", "edit")
    assert (code, "kept today, deleted by this policy: 1 tag" in output) == (1, True)
    assert policy.read_text() == KEEP_2


def _refuse(*question: object, **more: object) -> None:
    raise SystemExit(1)


def test_an_invalid_policy_never_reaches_the_file(run: Run, policy: Path, editor: Callable[[str], None]) -> None:
    editor("file.write_text('rules: [{kep: {last: 1}}]')")
    code, _, error = run("policy", "edit", "--yes")
    assert (code, policy.read_text()) == (2, KEEP_2)
    assert f"{policy}, line 1: rules[0].kep is unknown" in error
    assert "nothing was changed" in error
    (draft,) = policy.parent.glob(".policy.*")
    assert (f"your text is kept in {draft}" in error, "kep" in draft.read_text()) == (True, True)
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600, "a configuration may hold secrets"


def test_a_change_by_another_program_meanwhile_is_not_overwritten(
    run: Run, policy: Path, editor: Callable[[str], None]
) -> None:
    editor(f"file.write_text({KEEP_1!r}); pathlib.Path({str(policy)!r}).write_text('rules: [] # mine')")
    code, _, error = run("policy", "edit", "--yes")
    assert (code, policy.read_text()) == (2, "rules: [] # mine")
    assert "was changed by another program meanwhile" in error
    assert "your text is kept in" in error


def test_an_editor_that_changes_nothing_changes_nothing(run: Run, policy: Path, editor: Callable[[str], None]) -> None:
    editor("pass")
    assert run("policy", "edit", "--yes")[:2] == (0, "nothing was changed\n")


def test_a_policy_that_no_file_holds_cannot_be_edited(run: Run) -> None:
    code, _, error = run("policy", "edit", "--yes")
    assert (code, "no file holds a policy" in error) == (2, True)
