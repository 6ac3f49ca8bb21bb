"""The formats of answers: whole lines for programs, lines that fit for people, times with their zone."""

import json
import re
import time
from collections.abc import Iterator

import pytest
import yaml

from service.cli.gc_output import show_run, spell_progress
from service.cli.output import table, when
from service.domain.collection.run import CollectionStage, Rehearsal
from service.domain.collection.run import Run as GcRun
from tests.conftest import MakeWiring
from tests.support.record import event, record
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture

LONG = "a-very-long-name-of-a-tag-" * 4


@pytest.fixture
def long_tag(make_wiring: MakeWiring) -> str:
    record(make_wiring().store.history, event(9, tag=LONG, actor="somebody-with-a-long-name" * 5))
    return LONG


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_a_piped_table_has_one_line_for_each_tag_and_cuts_nothing(run: Run, long_tag: str) -> None:
    _, output, _ = run("tags", "shop/api")
    lines = output.splitlines()
    assert len(lines) == 5, "a heading, and four tags"
    assert long_tag in output
    assert "somebody-with-a-long-name" * 5 in output
    assert all(line == line.rstrip() for line in lines)
    columns = {line.index("kept") if "kept" in line else line.index("to be deleted") for line in lines[1:]}
    assert columns == {lines[0].index("verdict")}


def test_on_a_terminal_each_line_fits_and_wide_cuts_nothing(
    run: Run, long_tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    _, output, _ = run("tags", "shop/api")
    lines = re.sub(r"\x1b\[\d*m", "", output).splitlines()
    assert (len(lines), max(map(len, lines))) == (5, 80)
    assert "…" in output
    monkeypatch.setenv("COLUMNS", "70")
    assert all("Z  " in line for line in run("tags", "shop/api:v?")[1].splitlines()[1:]), "a reason is cut first"
    _, output, _ = run("tags", "shop/api", "-o", "wide")
    assert ("…" in output, long_tag in output, len(re.findall(r"sha256:[0-9a-f]{64}", output))) == (False, True, 4)


def test_on_a_narrow_terminal_the_end_of_a_name_and_the_whole_date_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    repository, digest = "team/shop/backend/api", "sha256:9c8a9869327e"
    names = [f"{repository}:main-{build}" for build in ("00041-9f2c", "00042-1b7d")]
    rows = [(name, digest, "200.5 kB", "2026-11-24 21:03:40Z", "number 1 of the newest 10") for name in names]
    table(("tag", "digest", "size", "pushed", "reason"), rows)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [len(line) <= 60 for line in lines] == [True, True]
    assert [line.split()[0].partition("…")[2][-8:] for line in lines] == ["041-9f2c", "042-1b7d"]
    assert all("2026-11-24…" in line for line in lines)


def test_names_are_one_per_line_for_scripts(run: Run, long_tag: str) -> None:
    assert run("tags", "shop/api", "-o", "name")[1].split("\n") == [
        f"shop/api:{long_tag}", "shop/api:v3", "shop/api:v2", "shop/api:v1", ""
    ]  # fmt: skip
    assert run("repos", "-o", "name")[1] == "shop/api\n"
    assert run("prune", "--dry-run", "-o", "name")[1] == "shop/api:v2\nshop/api:v1\n"
    assert run("history", "shop/api:v1", "-o", "name")[1] == "shop/api:v1\n"
    assert run("trash", "-o", "name")[1] == ""


def test_yaml_and_json_are_the_same_answer(run: Run) -> None:
    for words in ("repos", "tags shop/api", "explain shop/api:v3", "gc", "prune --dry-run"):
        answer = json.loads(run(*words.split(), "--json")[1])
        assert json.loads(run(*words.split(), "-o", "json")[1]) == answer
        assert yaml.safe_load(run(*words.split(), "-o", "yaml")[1]) == answer


def test_a_limit_shows_the_first_rows_and_says_that_there_are_more(run: Run) -> None:
    code, output, error = run("tags", "shop/api", "--limit", "2", "-o", "name")
    assert (code, output, error) == (0, "shop/api:v3\nshop/api:v2\n", "2 of 3 shown (--limit)\n")


def test_times_are_in_utc_and_name_their_zone(run: Run, berlin: None) -> None:
    assert when(1_700_000_000_000_000) == "2023-11-14 22:13:20Z"
    pushed = json.loads(run("tags", "shop/api:v1", "--json")[1])[0]["pushed_at"]
    assert pushed[:19].replace("T", " ") + "Z" in run("tags", "shop/api:v1")[1]
    assert re.search(r"\d\d:\d\d:\d\d\+0[12]:00", run("tags", "shop/api:v1", "--local")[1])


def test_the_progress_of_a_collection_is_a_bar_with_figures() -> None:
    stage = CollectionStage("deleting blobs", 1, 1, "scheduled", 250, 1000, 7_000_000, 28_000_000)
    assert spell_progress(stage) == " [#####               ] 25 % (250 of 1,000, 7.0 MB of 28.0 MB)"
    assert spell_progress(CollectionStage("listing the storage", 1, 1, "scheduled", 2000)) == " 2,000"


def test_a_dry_run_of_a_collection_lists_the_largest_blobs_and_counts_all(capsys: pytest.CaptureFixture[str]) -> None:
    blobs = tuple((f"sha256:{size:064d}", size * 1000) for size in range(1, 1001))
    run_of_today = GcRun(1000, 2000, "dry run", "manual", blobs=len(blobs), bytes_freed=500_500_000)
    show_run(run_of_today, Rehearsal(1000, blobs))
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert (len(rows), rows[0].split()[-2:], first.split()[-1]) == (10, ["1.0", "MB"], "size")
    assert last == (
        "a collection would delete 1,000 blobs and free 500.5 MB; the 10 largest are listed; "
        "nothing was deleted (1.0 s)"
    )  # fmt: skip


def test_a_collection_that_counted_nothing_shows_no_counts(capsys: pytest.CaptureFixture[str]) -> None:
    show_run(GcRun(1000, 2000, "postponed", "manual", message="a push is open"), None)
    show_run(GcRun(1000, 2000, "done", "manual", bytes_freed=0), None)
    assert capsys.readouterr().out.splitlines() == [
        "postponed in 1.0 s",
        "done in 1.0 s: 0 blobs in use, 0 blobs deleted, 0 B freed",
    ]


def test_a_long_table_is_printed_while_its_rows_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[tuple[str]]:
        yield from ((str(number),) for number in range(1_500))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        table(("number",), rows())
    assert capsys.readouterr().out.splitlines()[:3] == ["number", "0", "1"]
