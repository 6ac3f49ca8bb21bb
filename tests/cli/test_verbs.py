"""The verbs about the running system: their output, and one sentence for each error."""

import gzip
import io
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from service.domain.collection.run import SWEEPING, CollectionStage
from service.domain.collection.run import Run as GcRun
from service.domain.errors import StoreUnavailable
from service.domain.retention.plan import Plan
from service.domain.timestamps import rfc3339
from service.domain.usage import UNMEASURED, Usage
from service.reports.inventory import Inventory
from tests.conftest import MakeWiring, keep_last
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.gate import earlier
from tests.support.record import NOW, digest, event, record
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture

EXAMPLE = Path(__file__).parents[2] / "config" / "pushprune.yaml"


def break_policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "policy.yaml"
    file.write_text("rules: [{kep: {last: 2}}]")
    monkeypatch.setenv("PUSHPRUNE_POLICY", str(file))


def rows(output: str) -> list[dict[str, Any]]:
    result = json.loads(output)
    assert isinstance(result, list)
    return result


def test_repos_lists_them_with_their_tags_and_last_push(run: Run) -> None:
    code, output, _ = run("repos", "--json")
    assert code == 0
    pushed_at = rfc3339(NOW + 3000)
    (row,) = rows(output)
    assert [row] == [
        {
            "repository": "shop/api", "tags": 3, "pushed_at": pushed_at, "doomed": 0, "held": None, "unannounced": 0,
            "next_deletion_at": row["next_deletion_at"],
            "size_bytes": None, "unsized": 0, "growth_bytes": None, "measured_at": None,
        }
    ]  # fmt: skip


def test_repos_and_usage_show_the_measured_sizes(run: Run, make_wiring: MakeWiring) -> None:
    assert run("usage") == (0, "not measured yet: a worker measures the storage within seconds of its start\n", "")
    usage = make_wiring().store.usage
    now_ms = usage.now_ms()
    yesterday = UNMEASURED.followed_by(1_000_000, 0, "g", now_ms - 86_400_000)
    usage.note_size("shop/api", yesterday.followed_by(3_500_000, 0, "g", now_ms))
    assert "  3.5 MB  +2.5 MB  " in run("repos")[1]
    (row,) = rows(run("repos", "--json", "--sort", "-size")[1])
    assert (row["size_bytes"], row["growth_bytes"], row["measured_at"]) == (
        3_500_000,
        2_500_000,
        rfc3339(now_ms * 1000),
    )
    usage.note(Usage(now_ms, 3_000_000, {"shop": 3_000_000}), hourly=True)
    usage.note(Usage(now_ms + 60_000, 3_500_500, {"shop": 3_500_000}, shared_bytes=500, unknown=2), hourly=False)
    assert run("usage")[1].splitlines() == [
        "prefix    size    change in 30d",
        "shop      3.5 MB  +500.0 kB",
        "(shared)  500 B   +500 B",
        "total     3.5 MB  +500.5 kB",
        "at least: the size of 2 tags is not known",
    ]
    assert json.loads(run("usage", "-o", "json")[1])["change_bytes"] == 500_500


def test_repos_counts_the_tags_that_are_kept_only_as_their_pushes_were_not_reported(
    run: Run, make_wiring: MakeWiring
) -> None:
    history = make_wiring().store.history
    assert history.commit(history.snapshot("shop/api"), Plan(unannounced=2), "none")
    assert rows(run("repos", "--json")[1])[0]["unannounced"] == 2
    assert "2 kept only because the events of their pushes were lost" in run("repos")[1]


def test_repos_finds_parts_and_globs_and_sorts(run: Run, make_wiring: MakeWiring) -> None:
    history = make_wiring().store.history
    record(history, event(9, tag="v1", repository="shop/web"), event(10, tag="v1", repository="ops/api"))

    def names(*arguments: str) -> list[str]:
        code, output, _ = run("repos", *arguments, "--json")
        assert code == 0
        return [row["repository"] for row in rows(output)]

    assert names() == ["ops/api", "shop/api", "shop/web"]
    assert names("api") == ["ops/api", "shop/api"]
    assert names("shop/*") == ["shop/api", "shop/web"]
    assert names("*") == []
    assert names("ops/*", "web") == ["ops/api", "shop/web"]
    assert names("--sort", "-pushed") == ["ops/api", "shop/web", "shop/api"]
    assert names("--sort", "-tags")[0] == "shop/api"
    code, _, error = run("repos", "!shop/*")
    assert (code, error) == (
        2, "pushprune: '!shop/*' is no glob: name what is meant, with * and ? for what may be anything\n",
    )  # fmt: skip


def test_tags_says_of_each_what_the_policy_does_and_why(run: Run) -> None:
    code, output, _ = run("tags", "shop/api")
    assert code == 0
    assert "v1" in output
    assert "older than the newest 2 (rule last)" in output
    _, as_json, _ = run("tags", "shop/api", "--json")
    assert [(row["tag"], row["verdict"]) for row in rows(as_json)] == [
        ("v3", "keep"), ("v2", "keep"), ("v1", "delete"),
    ]  # fmt: skip
    message = {key: rows(as_json)[0][key] for key in ("repository", "size_bytes", "pushed_at", "pulled_at", "actor")}
    assert message == {
        "repository": "shop/api", "size_bytes": 400, "pushed_at": rfc3339(NOW + 3000), "pulled_at": None,
        "actor": "ci",
    }  # fmt: skip


def test_tags_and_history_take_globs_of_repositories_and_tags(run: Run, make_wiring: MakeWiring) -> None:
    record(make_wiring().store.history, *(event(9, tag=tag, repository="shop/web") for tag in ("v1", "pr-1")))
    _, output, _ = run("tags", "shop/*:v1", "--json")
    assert [(row["repository"], row["tag"]) for row in rows(output)] == [("shop/api", "v1"), ("shop/web", "v1")]
    _, output, _ = run("tags", "shop/*:v1")
    assert "shop/web:v1" in output
    _, output, _ = run("history", "shop/*:v?", "--json", "--limit", "3")
    assert [(row["repository"], row["tag"]) for row in rows(output)] == [
        ("shop/web", "v1"), ("shop/api", "v3"), ("shop/api", "v2"),
    ]  # fmt: skip
    assert run("tags", "ops/*")[::2] == (
        1, "pushprune: no repository ops/* is known; `pushprune repos` lists them\n",
    )  # fmt: skip
    assert run("tags", "shop/api:x*")[::2] == (
        1, "pushprune: shop/api:x*: tag not found; `pushprune tags shop/api` lists them\n",
    )  # fmt: skip


def test_tags_asks_the_registry_for_platforms_only_where_wanted(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("multi", architecture="arm64")
    with FakeRegistry() as registry:
        registry.push("shop/arm", "v1", image)
        record(make_wiring().store.history, event(9, repository="shop/arm", digest=image.digest))
        monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", registry.url)
        (row,) = rows(run("tags", "shop/arm", "--json")[1])
        assert row["platforms"] is None
        assert registry.requests == []
        (row,) = rows(run("tags", "shop/arm", "--platforms", "--json")[1])
        assert row["platforms"] == ["linux/arm64"]
        assert "linux/arm64" in run("tags", "shop/arm", "--platforms")[1]


def test_history_says_where_a_tag_stood_from_when_to_when(run: Run, make_wiring: MakeWiring) -> None:
    record(make_wiring().store.history, event(9, tag="v1", actor="bob"))
    code, output, _ = run("history", "shop/api:v1", "--intervals", "--json")
    assert code == 0
    intervals = json.loads(output)["history"]
    assert [(row["started_at"], row["ended_at"], row["actor"], row["end_reason"]) for row in intervals] == [
        (rfc3339(NOW + 9000), None, "bob", ""),
        (rfc3339(NOW + 1000), rfc3339(NOW + 9000), "ci", "overwritten by bob"),
    ]  # fmt: skip
    _, output, _ = run("history", "shop/api:v1", "--intervals")
    assert "overwritten by bob" in output
    assert run("history", "shop/api", "--intervals")[::2] == (
        2, "pushprune: --intervals is about one tag: write REPO:TAG, such as shop/api:v1\n",
    )  # fmt: skip
    assert run("history", "shop/api:nope", "--intervals")[::2] == (
        1, "pushprune: no tag 'nope' is known in 'shop/api'\n",
    )  # fmt: skip


def test_history_says_if_older_events_were_dropped(run: Run, make_wiring: MakeWiring) -> None:
    assert "dropped" not in run("history", "shop/api")[1]
    connection = make_wiring().store.connection
    connection.client.xtrim(connection.keys.of("history", "shop/api"), maxlen=2, approximate=False)
    sentence = "Older events were dropped: history.repository_entries keeps the newest 1,000 of a repository.\n"
    assert run("history", "shop/api")[1].endswith(sentence)
    assert "dropped" not in run("history", "shop/api", "--limit", "1")[1]


def test_history_of_several_repositories_is_the_newest_of_all_of_them(run: Run, make_wiring: MakeWiring) -> None:
    connection = make_wiring().store.connection
    record(make_wiring().store.history, event(9, repository="shop/web"), event(10, tag="v9", repository="ops/api"))
    newest = [(row["repository"], row["tag"]) for row in rows(run("history", "shop/*", "--limit", "2", "--json")[1])]
    assert newest == [("shop/web", "v1"), ("shop/api", "v3")]
    # The events of all repositories do not reach as far back as the history of each.
    connection.client.xtrim(connection.keys.of("events"), maxlen=2, approximate=False)
    assert [(row["repository"], row["tag"]) for row in rows(run("history", "shop/*", "--limit", "3", "--json")[1])] == [
        ("shop/web", "v1"), ("shop/api", "v3"), ("shop/api", "v2"),
    ]  # fmt: skip


def test_tags_of_many_repositories_are_printed_while_they_are_read(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(make_wiring().store.history, event(9, repository="shop/web"))
    monkeypatch.setattr("service.cli.output._BLOCK", 1)
    read = Inventory.listing

    def fails(inventory: Inventory, repository: str) -> Any:
        if repository == "shop/web":
            raise StoreUnavailable("Redis is away")
        return read(inventory, repository)

    monkeypatch.setattr(Inventory, "listing", fails)
    code, output, error = run("tags", "shop/*")
    assert (code, "shop/api:v3" in output, "Redis is away" in error) == (1, True, True)


def test_tags_says_how_many_a_limit_leaves_out(run: Run) -> None:
    _, output, error = run("tags", "shop/api", "--limit", "1", "-o", "name")
    assert (output, error) == ("shop/api:v3\n", "1 of 3 shown (--limit)\n")
    assert run("tags", "shop/api", "--limit", "3", "-o", "name")[2] == ""


def test_history_says_who_when_and_from_where(run: Run) -> None:
    code, output, _ = run("history", "shop/api:v2", "--json")
    assert code == 0
    (entry,) = rows(output)
    message = [entry[key] for key in ("tag", "actor", "useragent", "address")]
    assert message == ["v2", "ci", "docker/27", "10.0.0.9"]


def test_a_dry_run_shows_what_would_be_deleted_and_why(run: Run) -> None:
    code, output, _ = run("prune", "--dry-run", "--json")
    assert code == 0
    (preview,) = json.loads(output)["repositories"]
    (deletion,) = preview["deletions"]
    assert (preview["repository"], deletion["tag"], deletion["reason"]) == (
        "shop/api", "v1", "older than the newest 2 (rule last)",
    )  # fmt: skip
    assert preview["rules"] == [{"name": "last", "tags": 1, "digests": 1, "size_bytes": 400, "unsized": 0}]
    _, output, _ = run("prune", "--dry-run")
    assert "older than the newest 2 (rule last)" in output
    assert "400 B" in output


def test_a_dry_run_by_another_policy_shows_what_that_would_take(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{name: empty, tags: [v2, v3], keep: none}]")
    code, output, _ = run("prune", "--dry-run", "--policy", str(file), "--json")
    (preview,) = json.loads(output)["repositories"]
    assert (code, [deletion["tag"] for deletion in preview["deletions"]]) == (0, ["v3", "v2"])


def test_a_dry_run_of_what_takes_nothing_says_so(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{keep: always}]")
    assert run("prune", "--dry-run", "--policy", str(file))[:2] == (0, "nothing would be deleted\n")


def test_a_dry_run_that_deletes_nothing_yet_says_when_age_could_delete(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{keep: {pushed_within: 36500d}}]")
    pushed = [datetime.fromisoformat(row["pushed_at"]) for row in rows(run("tags", "shop/api", "--json")[1])]
    at = f"{min(pushed) + timedelta(days=36_500):%Y-%m-%d %H:%M:%S}Z"
    code, output, _ = run("prune", "--dry-run", "--policy", str(file))
    assert (code, output) == (0, f"nothing would be deleted now; the next deletion by age is possible at {at}\n")


def test_a_plan_that_would_wait_says_so_before_it_is_made(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("hold_min: 0\nhold_over: 0%\nrules: [{keep: none}]")
    _, output, _ = run("prune", "--dry-run", "--policy", str(file))
    assert "shop/api: the plan would wait for approval: it would delete 3 of 3 tags" in output


def test_a_policy_is_put_in_force_by_no_option(run: Run, tmp_path: Path) -> None:
    code, _, error = run("prune", "--policy", str(tmp_path / "policy.yaml"))
    assert code == 2
    assert "--policy needs --dry-run" in error


def test_explain_says_of_a_tag_why_and_when_it_could_be_deleted(run: Run) -> None:
    code, output, _ = run("explain", "shop/api:v1")
    assert code == 0
    assert "to be deleted: older than the newest 2 (rule last)" in output
    assert "  rule last does not keep it (place 3, last: 2)" in output
    _, output, _ = run("explain", "shop/api:v3")
    assert "kept: number 1 of the newest 2 (rule last)" in output
    assert "could be deleted: not scheduled (needs newer pushes or a changed policy)" in output


def test_explain_says_it_of_every_tag_of_a_repository(run: Run) -> None:
    _, output, _ = run("explain", "shop/api", "--json")
    result = [(tag["tag"], tag["verdict"], tag["earliest_deletion"] is None) for tag in rows(output)]
    assert result == [("v3", "keep", True), ("v2", "keep", True), ("v1", "delete", False)]
    _, output, _ = run("explain", "shop/api")
    assert "not scheduled" in output


def test_the_schema_accepts_the_example_and_refuses_what_the_language_refuses(run: Run) -> None:
    code, output, _ = run("policy", "schema")
    schema = json.loads(output)
    policy = yaml.safe_load(EXAMPLE.read_text())["policy"]
    assert code == 0
    jsonschema_rs.meta.validate(schema)
    check = jsonschema_rs.Draft202012Validator(schema)
    assert check.is_valid(policy)
    refused: list[dict[str, Any]] = [
        {"rules": [{}]}, {"grce": "1h"}, {"rules": [{"keep": {"last": None}}]}, {"grace": "a while"},
    ]  # fmt: skip
    for wrong in refused:
        assert not check.is_valid(wrong)


def test_prune_takes_globs(run: Run) -> None:
    code, output, _ = run("prune", "--dry-run", "shop/*", "--json")
    assert (code, [row["repository"] for row in json.loads(output)["repositories"]]) == (0, ["shop/api"])
    code, _, error = run("prune", "--dry-run", "shp/*")
    assert (code, error) == (1, "pushprune: no repository shp/* is known; `pushprune repos` lists them\n")
    assert run("prune", "shop/api:v1")[::2] == (2, "pushprune: name a repository, not a tag: write shop/api\n")


@pytest.mark.parametrize(
    "arguments", [("tags", "nope"), ("history", "nope:v1"), ("prune", "nope"), ("prune", "--approve", "nope")]
)
def test_an_unknown_repository_is_named_and_not_invented(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, error = run(*arguments)
    assert (code, error) == (1, "pushprune: no repository nope is known; `pushprune repos` lists them\n")
    _, output, _ = run("repos", "--json")
    assert [row["repository"] for row in rows(output)] == ["shop/api"]


def test_approving_where_nothing_waits_is_reported(run: Run) -> None:
    code, _, error = run("prune", "--approve", "shop/api")
    assert code == 1
    assert "waits for approval" in error


def test_all_plans_that_wait_are_approved_together(run: Run, make_wiring: MakeWiring) -> None:
    assert run("prune", "--approve-all", "--yes")[::2] == (
        1, "pushprune: no plan waits for approval\n",
    )  # fmt: skip
    wiring = make_wiring(policy=keep_last(1, hold_over=10, hold_min=1))
    plan = wiring.verdicts.plan("shop/api")
    assert wiring.store.history.commit(wiring.store.history.snapshot("shop/api"), plan, "held")
    code, _, error = run("prune", "--approve-all")
    assert (code, "add --yes to approve every plan" in error) == (2, True)
    assert run("prune", "--approve-all", "--yes")[:2] == (0, "approved: 2 images of 1 repository\n")
    assert len(wiring.store.history.snapshot("shop/api").approved) == 2
    assert run("prune", "--approve-all", "shop/api")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("history shop/api:nope", 1, "shop/api:nope: tag not found; `pushprune tags shop/api` lists them"),
        ("gc --now", 2, "gc.command is not set: set it to the registry's garbage-collect command"),
        ("gc --undelete", 2, "only online collections have a quarantine: set gc.collector: online"),
    ],
)
def test_a_refusal_says_what_to_do(run: Run, words: str, code: int, sentence: str) -> None:
    assert run(*words.split())[::2] == (code, f"pushprune: {sentence}\n")


@pytest.mark.parametrize(
    "words",
    [
        "gc --now --dry-run",
        "gc --grace 15m",
        "gc --now --grace soon",
        "gc sha256:aa",
        "gc --now --undelete",
        "prune --dry-run --held",
        "prune --approve",
    ],
)
def test_two_things_at_once_or_half_of_one_are_wrong_usage(run: Run, words: str) -> None:
    assert run(*words.split())[0] == 2


def test_collecting_without_a_worker_says_what_to_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPRUNE_GC__COMMAND", "true")
    code, _, error = run("gc", "--now")
    assert code == 1
    assert "no worker is running: start one" in error


def test_a_queued_collection_is_shown_with_what_it_makes_permanent_and_cancelled(
    run: Run, make_wiring: MakeWiring
) -> None:
    """The collection was postponed, and would run by itself ten minutes later."""
    wiring = make_wiring()
    wiring.store.collections.request("requested manually")
    wiring.store.connection.client.zadd(wiring.store.connection.keys.of("trashed"), {f"shop/api {digest('a')}": 1})
    _, output, _ = run("gc")
    assert "queued: requested manually" in output
    assert "then up to 1 deletion becomes permanent; cancel it with: pushprune gc --cancel" in output
    assert run("gc", "--cancel")[:2] == (0, "cancelled: requested manually\n")
    assert wiring.store.collections.requested() is None
    assert run("gc", "--cancel")[::2] == (1, "pushprune: no collection is queued\n")


def test_the_status_of_collections_says_what_is_wanted_what_it_waits_for_and_when_the_next_comes(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_wiring().store
    store.collections.request_if_none("scheduled")
    store.collection_runs.record(
        GcRun(1000, 2000, "postponed", "scheduled", message="not now", note="no gate"), once=True
    )
    monkeypatch.setenv("PUSHPRUNE_GC__COMMAND", "true")
    monkeypatch.setenv("PUSHPRUNE_GC__SCHEDULE", "0 3 * * *")
    code, output, _ = run("gc")
    assert code == 0
    assert "queued: scheduled; waiting: not now (tried 1×)" in output
    assert "next by the schedule: " in output
    assert "not now; no gate" in output
    status = json.loads(run("gc", "--status", "--json")[1])
    assert (status["queued"], status["postponed"]["message"], status["running"]) == ("scheduled", "not now", None)
    assert status["next_at"]
    store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "scheduled"))
    assert "running (scheduled): deleting blobs" in run("gc")[1]


def test_the_status_of_collections_says_that_the_gate_is_closed_and_why(run: Run, make_wiring: MakeWiring) -> None:
    gate = make_wiring().store.gate
    assert "gate" not in run("gc")[1]
    gate.drain("lost", 1, "scheduled")
    assert "the gate has been draining since 20" in run("gc")[1]
    gate.close("lost")
    assert re.search(r"the gate has been closed since 20\S+ \S+: scheduled\n", run("gc")[1])
    held = json.loads(run("gc", "--json")[1])["gate"]
    assert (held["state"], held["reason"]) == ("closed", "scheduled")


def test_the_trash_says_when_the_next_collection_comes(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring()
    keys, client = wiring.store.connection.keys, wiring.store.connection.client
    client.hset(keys.of("deleted", "shop/api"), f"v0 {'A' * 43}", f"{'A' * 43} 1 2 3 too old")
    client.zadd(keys.of("trashed"), {"shop/api -": 2})
    assert "or the next garbage collection: " in run("trash")[1]
    monkeypatch.setenv("PUSHPRUNE_GC__COMMAND", "true")
    monkeypatch.setenv("PUSHPRUNE_GC__SCHEDULE", "0 3 * * *")
    assert re.search(r"or the next garbage collection \(\d{4}-\d\d-\d\d ", run("trash")[1])


def test_a_redis_that_takes_nothing_is_not_said_to_be_away(run: Run, make_wiring: MakeWiring) -> None:
    connection = make_wiring().store.connection
    connection.client.delete(connection.keys.of("due"))
    connection.client.set(connection.keys.of("due"), "no zset")
    code, _, error = run("prune", "shop/api")
    connection.client.delete(connection.keys.of("due"))
    assert (code, error.startswith("pushprune: Redis refuses: WRONGTYPE "), error.count("\n")) == (1, True, 1)
    assert error.endswith("wrong kind of value; `pushprune doctor` shows the fix\n")


def test_a_redis_that_is_away_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", "redis://127.0.0.1:1/0")
    code, _, error = run("repos")
    assert code == 1
    assert error.startswith("pushprune: Redis does not answer")
    assert error.count("\n") == 1


def test_a_broken_policy_leaves_history_to_be_looked_at(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_policy(tmp_path, monkeypatch)
    assert run("history", "shop/api")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("tags", "shop/api"), "older than the newest 2 (rule last)"),
        (("explain", "shop/api:v1"), "to be deleted: older than the newest 2 (rule last)"),
        (("prune", "--dry-run"), "older than the newest 2 (rule last)"),
    ],
)
def test_with_a_broken_policy_the_verbs_warn_once_and_answer_by_the_one_in_force(
    run: Run, make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], sentence: str,
) -> None:  # fmt: skip
    policies = make_wiring(policy=keep_last(2, grace="0s")).policies
    assert make_wiring().store.policy_changes.begin(policies.digest, policies.written) is None
    break_policy(tmp_path, monkeypatch)
    code, output, error = run(*arguments)
    assert (code, sentence in output, error.count("kep is unknown")) == (0, True, 1)
    assert error.endswith("; the previous policy stays in force\n")


def test_with_a_broken_policy_and_none_before_nothing_is_deleted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_policy(tmp_path, monkeypatch)
    code, output, error = run("explain", "shop/api:v1")
    assert (code, "kept: no policy is in force" in output) == (0, True)
    assert error.endswith("; no policy is in force, nothing is deleted\n")
    assert "no policy is in force" in run("tags", "shop/api")[1]


def test_checking_a_policy_warns_of_a_rule_that_disables_another(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{name: main, keep: {last: 2}}, {name: rest, untagged: 1h, keep: always}]")
    code, output, error = run("policy", "check", str(file))
    assert (code, "valid, 2 rules" in output) == (0, True)
    assert "warning: " in error
    assert "rule 'main' never deletes a tag, because rule 'rest' keeps all of its tags" in error


def test_a_check_of_a_policy_is_an_answer_for_programs_as_well(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{name: main, keep: {last: 2}}, {name: rest, untagged: 1h, keep: always}]")
    code, output, error = run("policy", "check", str(file), "--json")
    answer = json.loads(output)
    assert (code, error, answer["valid"], answer["rules"], len(answer["warnings"])) == (0, "", True, 2, 1)
    file.write_text("rules: [{kep: {last: 2}}]")
    code, output, error = run("policy", "check", str(file), "--json")
    answer = json.loads(output)
    assert (code, error, answer["valid"], answer["rules"]) == (2, "", False, None)
    assert "kep is unknown" in answer["faults"][0]


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("rules: [{keep: {last: 2}}]", 0, "valid, 1 rule"),
        ("policy: {rules: [{keep: {last: 2}}]}\nlisten: 127.0.0.1:1", 0, "valid, 1 rule"),
        ("", 0, "no rule: nothing is deleted"),
        ("rules: [{kep: {last: 2}}]", 2, "kep is unknown"),
        ("policy: {rules: [{kep: {last: 2}}]}", 2, "kep is unknown"),
        ("listen: 127.0.0.1:1", 2, "this is a configuration without a policy"),
    ],
)
def test_a_policy_is_checked_alone_or_in_its_configuration(
    run: Run, tmp_path: Path, text: str, code: int, sentence: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    ended, output, error = run("policy", "check", str(file))
    assert (ended, sentence in output + error) == (code, True)


def test_checking_a_policy_says_all_that_is_wrong_with_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("""\
protect: [ok, "a b", "re:("]
rules:
- name: a
  keep: allways
- {keep: none, untagged: kep, order: semvre}
- name: a
  keep: none
  repos: ["Shop", "ok/**", "/x"]
- {name: "#2", keep: none}
""")
    code, _, error = run("policy", "check", str(file))
    assert code == 2
    assert [line.removeprefix(f"pushprune: {file}, line ") for line in error.splitlines()] == [
        "1: protect[1]: 'a b' can match no tag: write the tag alone, without spaces",
        "1: protect[2]: 're:(' is no regular expression that RE2 understands: missing ): (",
        "4: rules[0].keep (rule 'a') must hold `key: value` pairs, or be 'always' or 'none'; did you mean always?",
        "5: rules[1].order must be 'pushed', 'semver', 'created' or 'name'; did you mean semver?",
        "5: rules[1].untagged: 'kep' is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d; "
        "did you mean keep?",
        "6: rules[2].name: two rules are called 'a'; give each its own name",
        "8: rules[2].repos[0] (rule 'a'): 'Shop' can match no repository: write it without host, tag and "
        "capital letters, without S",
        "8: rules[2].repos[2] (rule 'a'): '/x' can match no repository: write it without a slash at either end",
        "9: rules[3].name: two rules are called '#2'; give each its own name",
    ]


def test_gc_opens_a_gate_that_a_lost_machine_left_closed_after_asking(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = make_wiring().store.gate
    assert run("gc", "--open")[1] == "the gate is open\n"
    gate.drain("lost", 1, "by hand")
    gate.close("lost")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, output, _ = run("gc", "--open")
    assert code != 0
    assert "the gate has been closed since" in output
    assert gate.state() is not None
    assert run("gc", "--open", "--yes")[0] == 0
    assert gate.state() is None
    assert run("gc", "--open", "--now")[0] == 2


def test_gc_forgets_gate_processes_that_ended_without_signing_off_after_asking(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_wiring().store
    assert run("gc", "--forget-gates")[1] == "no gate process has been silent for 30 s: there is none to forget\n"
    store.gate.check_in("gatekeeper/boot/1/7/ab")
    earlier(store.connection, "gates", 60)
    store.gate.check_in("another/boot/2/7/cd")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, output, _ = run("gc", "--forget-gates")
    assert code != 0
    assert "the gate process on gatekeeper was last seen at" in output
    assert len(store.gate.processes()) == 2
    assert run("gc", "--forget-gates", "--yes")[0] == 0
    assert store.gate.processes() == ("another/boot/2/7/cd",)
    assert run("gc", "--forget-gates", "--now")[0] == 2


def test_search_finds_tags_and_digests_and_says_so_in_every_format(run: Run) -> None:
    code, output, _ = run("search", "v2")
    assert code == 0
    assert re.search(r"shop/api:v2 +sha256:[0-9a-f]{12} +current", output)
    answer = json.loads(run("search", digest(2)[7:15], "--json")[1])
    assert [(match["tag"], match["state"]) for match in answer["tags"]] == [("v2", "live")]
    assert run("search", "shop", "-o", "name")[1].splitlines() == ["shop/api"]
    assert run("search", "no-such-thing")[1] == "nothing matches; a digest needs at least 8 characters\n"
    assert run("search", " ")[0] == 2


def test_tags_and_repos_are_filtered_by_status_and_sorted_by_their_next_deletion(run: Run) -> None:
    names = run("tags", "shop/api", "--sort", "expires", "-o", "name")[1].splitlines()
    deleted = run("tags", "shop/api", "--status", "delete", "-o", "name")[1].splitlines()
    kept = run("tags", "shop/api", "--status", "keep", "-o", "name")[1].splitlines()
    assert names[: len(deleted)] == deleted
    assert sorted(names) == sorted(deleted + kept) == ["shop/api:v1", "shop/api:v2", "shop/api:v3"]
    assert run("repos", "--status", "held", "-o", "name")[1] == ""
    assert run("repos", "--sort", "expires", "-o", "name")[1] == "shop/api\n"


def test_protect_keeps_an_image_until_its_end_or_until_it_is_ended(run: Run, make_wiring: MakeWiring) -> None:
    code, output, _ = run("protect", "shop/api:v1", "--for", "7d")
    assert code == 0
    assert "shop/api: 1 image protected until " in output
    assert digest(1) in make_wiring().store.history.snapshot("shop/api").leased
    (answer,) = json.loads(run("protect", "shop/api:v1", "--for", "0", "--json")[1])
    assert (answer["repository"], answer["images"], answer["until"]) == ("shop/api", 1, None)
    assert not make_wiring().store.history.snapshot("shop/api").leased
    unknown = "pushprune: shop/api:nope: tag not found; `pushprune tags shop/api` lists them\n"
    assert run("protect", "shop/api:nope")[2] == unknown
    assert run("protect", "shop/api")[0] == 2


def test_gc_log_prints_the_output_of_the_last_collection(run: Run, make_wiring: MakeWiring) -> None:
    assert run("gc", "--log")[2] == "pushprune: no output of a collection is kept; `pushprune gc` lists the last runs\n"
    runs = make_wiring().store.collection_runs
    runs.record(GcRun(7, 8, "done", "scheduled"))
    runs.keep_log(7, gzip.compress(b"marked\nswept\n"))
    runs.record(GcRun(9, 10, "postponed", "scheduled"))
    assert run("gc", "--log") == (0, "marked\nswept\n", "")
    assert json.loads(run("gc", "--log", "--json")[1]) == {"started_at": rfc3339(7000), "lines": ["marked", "swept"]}
