"""`pushprune policy simulate`: a policy tried on what is recorded, in words and as JSON."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from service.cli.policy_simulate import simulate
from service.domain.errors import ConfigurationError, NoSuchRepository
from service.domain.events import Event
from service.store.connection import Connection
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.support.record import digest, event, record, state
from tests.support.verbs import configure

Run = Callable[..., str]

KEEP_2 = "rules: [{name: newest, keep: {last: 2}}]"


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    return make_wiring(policy=keep_last(10))


@pytest.fixture
def run(
    wiring: Wiring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """run(policy, *arguments) -> standard output; over v1 to v4 pushed to shop/api, v1 pulled before and after v3."""
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3, 4)))
    record(wiring.store.history, pull(2, "v1", 1), pull(5, "v1", 1), pull(6, "v1", 1, actor="cluster"))
    record(wiring.store.history, replace(event(7), repository="web"))
    configure(monkeypatch, wiring)
    monkeypatch.setenv("TZ", "UTC")
    file = tmp_path / "new.yaml"

    def call(policy: str, *arguments: str) -> str:
        file.write_text(policy)
        simulate.main([str(file), *arguments], standalone_mode=False)
        message = capsys.readouterr()
        assert message.err == ""
        return message.out

    return call


def pull(number: int, tag: str, seed: int, **more: Any) -> Event:
    return event(number, "pull", tag, seed, id=f"pull-{number}", **more)


def document(output: str) -> dict[str, Any]:
    result = json.loads(output)
    assert isinstance(result, dict)
    return result


def test_the_output_counts_and_lists_deleted_images_that_were_pulled_afterwards(run: Run) -> None:
    output = run(KEEP_2)
    assert output.startswith("1 of the 2 images it would have deleted was pulled afterwards:\n")
    assert "In the last 30d it would have deleted 2 images (2 tags, 800 B) from 1 repository." in output
    listed = next(line for line in output.splitlines() if line.startswith("shop/api:v1"))
    assert [digest(1)[:19] in listed, "newest" in listed, "cluster" in listed] == [True] * 3
    assert listed.split()[-1] == "2"


def test_the_output_has_the_deletions_per_day_rule_and_repository(run: Run) -> None:
    table = run(KEEP_2).splitlines()
    assert [line.split()[1:] for line in table if line.startswith(("newest", "shop/api "))] == [
        ["2", "2", "800", "B"]
    ] * 2
    assert ["day", "(UTC)", "tags", "digests", "size"] in [line.split() for line in table]


def test_a_simulation_says_if_no_deleted_image_was_pulled_later(run: Run) -> None:
    output = run(KEEP_2 + "\nignore_pulls: ['docker/*']")
    assert "None of the 2 images it would have deleted was pulled afterwards." in output
    assert "pulled last" not in output


def test_a_policy_that_deletes_nothing_is_reported(run: Run) -> None:
    assert "it would have deleted 0 images (0 tags, 0 B) from 0 repositories." in run("rules: []")


def test_the_named_repositories_alone_are_tried(run: Run) -> None:
    assert list(document(run(KEEP_2, "web", "--json"))["known_from"]) == ["web"]
    with pytest.raises(NoSuchRepository, match="no repository nope is known"):
        run(KEEP_2, "nope")


def test_json_carries_every_figure_and_every_pull(run: Run) -> None:
    result = document(run(KEEP_2, "--json"))
    (missed,) = result["missed"]
    assert (missed["repository"], missed["tags"], missed["digest"]) == ("shop/api", ["v1"], digest(1))
    assert [pull["actor"] for pull in missed["pulls"]] == ["ci", "cluster"]
    assert result["deleted"] == {"name": "", "tags": 2, "digests": 2, "size_bytes": 800, "unsized": 0}
    assert result["rules"] == [{"name": "newest", "tags": 2, "digests": 2, "size_bytes": 800, "unsized": 0}]
    assert [deletion["tags"] for deletion in result["deletions"]] == [["v1"], ["v2"]]


def test_since_says_where_the_past_begins(run: Run) -> None:
    result = document(run(KEEP_2, "--since", "30m", "--json"))
    started_at, ended_at = (datetime.fromisoformat(result[name]) for name in ("started_at", "ended_at"))
    assert ended_at - started_at == timedelta(minutes=30)
    assert {deletion["at"] for deletion in result["deletions"]} == {result["started_at"]}
    assert result["missed"] == []


@pytest.mark.parametrize(
    ("period", "sentence"),
    # 30 was meant as days, and would be half a minute.
    [("soon", "no duration"), ("0", "0 is too short"), ("30", "the unit of 30 is missing: write 30w, 30d")],
)
def test_a_wrong_period_is_wrong_usage(run: Run, period: str, sentence: str) -> None:
    with pytest.raises(click.BadParameter, match=sentence):
        run(KEEP_2, "--since", period)


def test_a_client_without_a_name_is_shown_by_its_address_without_the_port(run: Run, wiring: Wiring) -> None:
    record(wiring.store.history, pull(8, "v2", 2, actor=""))
    output = run(KEEP_2)
    listed = next(line for line in output.splitlines() if line.startswith("shop/api:v2"))
    assert "10.0.0.9 " in listed


def test_a_policy_that_cannot_be_obeyed_is_refused(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="kep"):
        run("rules: [{kep: {last: 2}}]")


def test_a_plan_that_waits_is_reported_and_can_be_assumed_approved(run: Run) -> None:
    held = "hold_min: 0\nhold_over: 10%\n" + KEEP_2
    output = run(held)
    assert "shop/api would have waited for approval from" in output
    assert "it would delete 1 of 3 tags, more than 10% (hold_over)." in output
    assert "it would have deleted 0 images" in output
    assert "it would have deleted 2 images" in run(held, "--approve-holds")


def test_the_output_says_how_far_back_the_record_reaches(run: Run) -> None:
    output = run(KEEP_2)
    assert "The record of shop/api begins" in output
    assert "The record of shop/api begins" not in run(KEEP_2, "--since", "30m")


def test_many_records_that_begin_late_are_one_line(run: Run, wiring: Wiring) -> None:
    record(wiring.store.history, *(replace(event(10 + number), repository=f"r{number}") for number in range(3)))
    output = run("hold_min: 0\nhold_over: 0%\nrules: [{keep: none}]")
    assert "The record begins later in 5 repositories, the latest 20" in output
    assert "The record of" not in output
    assert "Plans of 5 repositories would have waited for approval (--json lists them;" in output


def test_a_simulation_changes_nothing(run: Run, connection: Connection) -> None:
    before = state(connection)
    run(KEEP_2)
    assert state(connection) == before
