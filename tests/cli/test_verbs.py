"""The verbs that look at the running system: what they show, and one sentence for everything that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import main
from service.wiring import Wiring
from tests.conftest import keep_last
from tests.store.test_record import NOW, event, record

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(make_wiring: Callable[..., Wiring], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments) -> exit code, standard output, standard error; over three pushes to shop/api, keep last 2."""
    wiring = make_wiring(policy=keep_last(2))
    record(wiring.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3)))
    redis = wiring.settings.redis
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", str(redis.url))
    monkeypatch.setenv("PUSHPRUNE_REDIS__PREFIX", redis.prefix)
    monkeypatch.setenv("PUSHPRUNE_POLICY", '{"rules": [{"name": "last", "keep": {"last": 2}}]}')
    monkeypatch.delenv("PUSHPRUNE_CONFIG", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def rows(output: str) -> list[dict[str, Any]]:
    found = json.loads(output)
    assert isinstance(found, list)
    return found


def test_repos_lists_them_with_their_tags_and_last_push(run: Run) -> None:
    code, output, _ = run("repos", "--json")
    assert code == 0
    assert rows(output) == [{"repository": "shop/api", "tags": 3, "pushed_us": NOW + 3000, "held": None}]


def test_tags_says_of_each_what_the_policy_does_and_why(run: Run) -> None:
    code, output, _ = run("tags", "shop/api")
    assert code == 0
    assert "v1" in output
    assert "older than the newest 2 (rule last)" in output
    _, as_json, _ = run("tags", "shop/api", "--json")
    assert [(row["tag"], row["kept"]) for row in rows(as_json)] == [("v3", True), ("v2", True), ("v1", False)]


def test_history_says_who_when_and_from_where(run: Run) -> None:
    code, output, _ = run("history", "shop/api:v2", "--json")
    assert code == 0
    (entry,) = rows(output)
    said = [entry[key] for key in ("tag", "actor", "useragent", "address")]
    assert said == ["v2", "ci", "docker/27", "10.0.0.9:1"]


def test_a_dry_run_shows_what_would_go_and_why(run: Run) -> None:
    code, output, _ = run("prune", "--dry-run", "--json")
    assert code == 0
    (row,) = rows(output)
    assert (row["tag"], row["why it would go"]) == ("v1", "older than the newest 2 (rule last)")


@pytest.mark.parametrize(
    "arguments", [("tags", "nope"), ("history", "nope:v1"), ("prune", "nope"), ("prune", "--approve", "nope")]
)
def test_an_unknown_repository_is_named_and_not_invented(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, error = run(*arguments)
    assert (code, error) == (1, "pushprune: no repository nope is known; `pushprune repos` lists them\n")
    _, output, _ = run("repos", "--json")
    assert [row["repository"] for row in rows(output)] == ["shop/api"]


def test_approving_where_nothing_waits_is_said(run: Run) -> None:
    code, _, error = run("prune", "--approve", "shop/api")
    assert code == 1
    assert "nothing waits for approval" in error


def test_approving_without_a_name_is_wrong_usage(run: Run) -> None:
    assert run("prune", "--approve")[0] == 2


def test_two_looks_at_once_are_wrong_usage(run: Run) -> None:
    assert run("prune", "--dry-run", "--held")[0] == 2


def test_collecting_without_a_command_says_what_to_set(run: Run) -> None:
    code, _, error = run("gc", "--now")
    assert (code, error) == (
        2,
        "pushprune: gc.command is not set: set it to the registry's garbage-collect command\n",
    )


def test_a_redis_that_is_away_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", "redis://127.0.0.1:1/0")
    code, _, error = run("repos")
    assert code == 1
    assert error.startswith("pushprune: Redis does not answer")
    assert error.count("\n") == 1


def test_a_broken_policy_leaves_history_to_be_looked_at(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{kep: {last: 2}}]")
    monkeypatch.setenv("PUSHPRUNE_POLICY", str(file))
    assert run("history", "shop/api")[0] == 0
    code, _, error = run("tags", "shop/api")
    assert code == 2
    assert "kep is unknown" in error


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("rules: [{keep: {last: 2}}]", 0, "1 rule, understood"),
        ("policy: {rules: [{keep: {last: 2}}]}\nlisten: 127.0.0.1:1", 0, "1 rule, understood"),
        ("", 0, "no rule: nothing goes"),
        ("rules: [{kep: {last: 2}}]", 2, "kep is unknown"),
        ("policy: {rules: [{kep: {last: 2}}]}", 2, "kep is unknown"),
    ],
)
def test_a_policy_is_checked_alone_or_in_its_configuration(
    run: Run, tmp_path: Path, text: str, code: int, said: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    ended, output, error = run("policy", "check", str(file))
    assert (ended, said in output + error) == (code, True)
