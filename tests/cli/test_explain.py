"""`pushprune explain`, `tags` and `prune` while a plan waits, for a deleted tag, and for a name that does not exist."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import pytest

from service.cli.names import UnclearName, parse_name
from service.cli.output import when
from service.cli.user import login_name
from service.domain.events import Event
from service.prune import approvals
from service.wiring import Wiring
from tests.cli.conftest import Call, said
from tests.conftest import MakeWiring, keep_last
from tests.support.record import digest, event, record
from tests.support.verbs import configure

Run = Callable[..., tuple[int, str]]

WAITS = "it would delete 3 of 5 tags"


@pytest.fixture
def wiring(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """Five pushes to shop/api, of which the last two are kept."""
    wiring = make_wiring(policy=keep_last(2))
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3, 4, 5)))
    configure(monkeypatch, wiring, keep=2)
    return wiring


@pytest.fixture
def run(wiring: Wiring, call: Call) -> Run:
    """run(*arguments) -> exit code, standard output and standard error together."""
    return partial(said, call)


@pytest.fixture
def held(wiring: Wiring) -> None:
    plan = replace(wiring.verdicts.plan("shop/api"), hold=WAITS)
    assert wiring.store.history.commit(wiring.store.history.snapshot("shop/api"), plan, "held")


@pytest.mark.usefixtures("held")
def test_a_tag_whose_plan_waits_is_deleted_once_it_is_approved(run: Run) -> None:
    _, output = run("explain", "shop/api:v1")
    assert (
        "to be deleted once approved (pushprune prune --approve shop/api): older than the newest 2 (rule last)"
        in output
    )
    assert f"the plan waits for approval: {WAITS}" in output
    assert output.splitlines()[-1] == "could be deleted: when its plan is approved"
    _, output = run("explain", "shop/api:v5")
    assert "approve" not in output


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("verb", ["explain", "tags"])
def test_a_list_of_tags_knows_what_waits(run: Run, verb: str) -> None:
    _, output = run(verb, "shop/api")
    assert output.count("to be deleted once approved") == 3
    assert (
        output.splitlines()[-1] == f"the plan waits for approval: {WAITS}; approve: pushprune prune --approve shop/api"
    )
    _, output = run(verb, "shop/api", "--json")
    assert [tag["held"] for tag in json.loads(output)] == [None, None, WAITS, WAITS, WAITS]


def test_the_reason_is_given_once_and_the_place_with_it(run: Run) -> None:
    _, output = run("explain", "shop/api:v1")
    assert output.count("older than the newest 2") == 1
    assert "  rule last does not keep it (place 5, last: 2)" in output
    _, output = run("explain", "shop/api:v1", "--json")
    (result,) = json.loads(output)[0]["rule_results"]
    assert (result["place"], result["limit"]) == (5, 2)


def test_explain_says_what_happened_to_a_deleted_tag(run: Run, wiring: Wiring) -> None:
    record(wiring.store.history, event(6, "delete", "v1", 1, actor="alice"))
    code, output = run("explain", "shop/api:v1")
    assert (code, "shop/api:v1 was deleted 2" in output, " by alice" in output) == (1, True, True)


def test_explain_names_the_rule_that_deleted_a_tag(run: Run, wiring: Wiring) -> None:
    history, plan = wiring.store.history, wiring.verdicts.plan("shop/api")
    snapshot = history.snapshot("shop/api")
    assert history.commit(snapshot, plan, "doomed")
    for doomed in plan.doomed:
        wiring.store.deletions.forget(snapshot, doomed)
    _, output = run("explain", "shop/api:v1")
    assert output.startswith("pushprune: shop/api:v1 was deleted 2")
    assert " by pushprune: older than the newest 2 (rule last)" in output


def test_explain_names_tags_similar_to_an_unknown_tag(run: Run) -> None:
    code, output = run("explain", "shop/api:v9")
    assert code == 1
    assert "shop/api:v9: no tag of that name is known; similar tags: v" in output


@pytest.mark.parametrize(
    ("verb", "what_to_do"),
    [
        ("explain", "`pushprune tags 'shop/*:v*'` shows the verdict and the reason of each tag"),
        ("protect", "name each tag; `pushprune tags 'shop/*:v*' -o name` lists the names"),
        ("restore", "name each image; `pushprune trash -o name` lists the names"),
    ],
)
def test_a_verb_that_takes_no_glob_says_which_verb_lists_the_names(run: Run, verb: str, what_to_do: str) -> None:
    assert run(verb, "shop/*:v*") == (2, f"pushprune: shop/*:v* is a glob: {what_to_do}\n")


@pytest.mark.usefixtures("held")
def test_several_plans_that_wait_are_followed_by_one_line_on_what_to_do(run: Run, wiring: Wiring) -> None:
    record(wiring.store.history, *(push(number, BASE) for number in (11, 12, 13)))
    plan = replace(wiring.verdicts.plan("shop/web"), hold=WAITS)
    assert wiring.store.history.commit(wiring.store.history.snapshot("shop/web"), plan, "held")
    lines = run("prune", "--held")[1].splitlines()
    assert len(lines) == 4
    assert lines[-1] == (
        "review: pushprune prune --dry-run REPO; approve: pushprune prune --approve REPO --plan PLAN; "
        "approve all: pushprune prune --approve-all"
    )


@pytest.mark.usefixtures("held")
def test_planning_and_approving_print_documents(run: Run) -> None:
    _, output = run("prune", "shop/api", "--json")
    assert [hold["repository"] for hold in json.loads(output)["holds"]] == ["shop/api"]
    _, output = run("prune", "--approve", "shop/api", "--yes", "--json")
    assert json.loads(output) == {"repositories": 1, "approved": 3}


@pytest.mark.usefixtures("held")
def test_planning_a_repository_that_waits_says_that_it_waits(run: Run) -> None:
    code, output = run("prune", "shop/api")
    assert code == 0
    assert f"shop/api: nothing is deleted: the plan waits for approval: {WAITS}" in output


def test_the_plans_that_wait_are_followed_by_what_to_do(
    run: Run, wiring: Wiring, request: pytest.FixtureRequest
) -> None:
    assert run("prune", "--held") == (0, "still to be planned: 1 repository\nno plan waits for approval\n")
    request.getfixturevalue("held")
    plan = wiring.store.approvals.holds()[0].plan
    _, output = run("prune", "--held")
    assert output.splitlines()[-1] == (
        f"review: pushprune prune --dry-run shop/api; approve: pushprune prune --approve shop/api --plan {plan}"
    )
    assert f" {plan} " in output.splitlines()[1] + " "
    assert json.loads(run("prune", "--held", "--json")[1])["holds"][0]["plan"] == plan
    approvals.reject(wiring.store, "shop/api", plan, by="alice")
    assert "rejected by alice: " in run("prune", "--held")[1]
    assert json.loads(run("prune", "--held", "--json")[1])["holds"][0]["rejected_by"] == "alice"
    assert run("prune", "--approve", "shop/api", "--plan", plan)[0] == 0
    (entry, *_) = wiring.store.history.entries("shop/api")
    assert (entry.action, entry.actor) == ("approved", login_name())


@pytest.mark.parametrize(
    "arguments", [("explain", "shop/api"), ("explain", "shop/api:v1"), ("tags", "shop/api"), ("prune", "--dry-run"),
                  ("prune", "shop/api")],
)  # fmt: skip
def test_verdicts_say_that_nothing_is_deleted(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert "dry_run: nothing" not in run(*arguments)[1]
    monkeypatch.setenv("PUSHPRUNE_POLICY", '{"dry_run": true, "rules": [{"name": "last", "keep": {"last": 2}}]}')
    assert run(*arguments)[1].splitlines()[-1] == "dry_run: nothing is deleted"


class Terminal(StringIO):
    """The input of a user."""

    def isatty(self) -> bool:
        return True


def approved(wiring: Wiring) -> int:
    return len(wiring.store.history.snapshot("shop/api").approved)


@pytest.mark.usefixtures("held")
def test_the_plan_that_was_looked_at_is_approved_and_no_other(run: Run, wiring: Wiring) -> None:
    another = (1, "pushprune: the plan for shop/api has changed; `pushprune prune --held` shows the new one\n")
    assert run("prune", "--approve", "shop/api", "--plan", "another") == another
    assert approved(wiring) == 0
    (hold,) = wiring.store.approvals.holds()
    assert run("prune", "--approve", "shop/api", "--plan", hold.plan) == (0, "approved: 3 images of 1 repository\n")
    assert approved(wiring) == 3


@pytest.mark.usefixtures("held")
def test_a_user_who_can_be_asked_need_not_name_the_plan(run: Run, wiring: Wiring) -> None:
    code, output = run("prune", "--approve", "shop/api")
    (hold,) = wiring.store.approvals.holds()
    assert (code, approved(wiring)) == (2, 0)
    assert output.splitlines()[-1] == (
        f"pushprune: not a terminal: add --plan {hold.plan} to approve the plan that `pushprune prune --held` shows "
        "for shop/api, or --yes to approve the plan that waits now"
    )
    assert run("prune", "--approve", "shop/api", "--yes") == (0, "approved: 3 images of 1 repository\n")


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("typed", "images"), [("y\n", 3), ("n\n", 0), ("\n", 0)])
def test_a_terminal_shows_the_deletions_and_asks(
    run: Run, wiring: Wiring, monkeypatch: pytest.MonkeyPatch, typed: str, images: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    _, output = run("prune", "--approve", "shop/api")
    assert f"shop/api: 3 images, waiting since {when(wiring.store.approvals.holds()[0].at_us)}: {WAITS}" in output
    assert approved(wiring) == images


def test_a_plan_is_one_repositorys(run: Run) -> None:
    code, output = run("prune", "--approve", "shop/api", "web", "--plan", "x")
    assert (code, output.splitlines()[-1]) == (
        2,
        "Error: --plan names the plan of one repository: name one with --approve",
    )
    assert run("prune", "shop/api", "--plan", "x")[0] == run("prune", "shop/api", "--yes")[0] == 2


@pytest.mark.parametrize("name", ["", ":v1", "shop/api:"])
@pytest.mark.parametrize("verb", ["explain", "history", "tags", "prune"])
def test_an_empty_name_is_refused_in_one_sentence(run: Run, verb: str, name: str) -> None:
    assert run(verb, name) == (2, "pushprune: a name is empty; write REPO or REPO:TAG, such as shop/api:v1\n")


def test_a_name_is_split_behind_the_last_slash() -> None:
    assert parse_name("shop/api") == ("shop/api", "")
    assert parse_name("shop/api:v1") == ("shop/api", "v1")
    with pytest.raises(UnclearName, match="name it without the registry's address: shop/api:latest"):
        parse_name("127.0.0.1:5000/shop/api:latest")
    with pytest.raises(UnclearName, match="not a digest"):
        parse_name("shop/api@sha256:" + "a" * 64)


def test_a_dry_run_says_what_it_does_not_know_of_the_sizes(run: Run, wiring: Wiring) -> None:
    _, output = run("prune", "--dry-run")
    assert "1.2 kB" in output
    assert output.splitlines()[-1] == (
        "size: a layer that several images share counts for each of them; "
        "a collection frees an unknown part of it: the layers of these images are not known"
    )
    record(wiring.store.history, event(0, tag="v0", seed=90, size_bytes=0))
    _, output = run("prune", "--dry-run")
    assert "at least 1.2 kB, 1 of unknown size" in output


def push(number: int, blobs: dict[str, int] | None, **more: Any) -> Event:
    """Push v1 to v3 to shop/web, of which the last two are kept."""
    known = None if blobs is None else tuple((digest(blob), size) for blob, size in blobs.items())
    return event(number, tag=f"v{number}", **{"repository": "shop/web", "blobs": known, **more})


def freed(run: Run, wiring: Wiring, *pushes: Event, repositories: tuple[str, ...] = ("shop/web",)) -> str:
    """Return the sentence of a dry run about the bytes that a collection frees."""
    record(wiring.store.history, *pushes)
    _, output = run("prune", "--dry-run", *repositories)
    (line,) = (line for line in output.splitlines() if line.startswith("size: "))
    return line.partition("; ")[2]


BASE = {"base": 9000}


def test_a_dry_run_says_what_a_collection_then_frees(run: Run, wiring: Wiring) -> None:
    pushes = push(11, {"one": 10_000, **BASE}), push(12, {"two": 1, **BASE}), push(13, BASE)
    message = "a collection then frees 10.0 kB, unless other repositories use these layers"
    assert freed(run, wiring, *pushes) == message
    _, as_json = run("prune", "--dry-run", "--json", "shop/web")
    (preview,) = json.loads(as_json)["repositories"]
    assert [preview[name] for name in ("freed_bytes", "freed_at_most", "freed_unknown")] == [10_000, False, 0]


def test_the_freed_space_is_at_most_a_number_if_layers_of_kept_images_are_unknown(run: Run, wiring: Wiring) -> None:
    pushes = push(11, {"one": 10_000, **BASE}), push(12, None), push(13, BASE)
    message = "a collection then frees at most 10.0 kB, unless other repositories use these layers"
    assert freed(run, wiring, *pushes) == message


def test_deleted_images_with_unknown_layers_are_counted(run: Run, wiring: Wiring) -> None:
    pushes = [push(11, None), push(12, {"two": 2000, **BASE}), push(13, BASE), push(14, BASE)]
    message = (
        "a collection then frees 2.0 kB, besides 1 image of unknown layers, unless other repositories use these layers"
    )
    assert freed(run, wiring, *pushes) == message
    assert "besides 2 images of unknown layers" in freed(run, wiring, push(10, None))


def test_the_bytes_that_a_collection_frees_are_added_up_over_repositories(run: Run, wiring: Wiring) -> None:
    web = push(11, {"one": 10_000, **BASE}), push(12, BASE), push(13, BASE)
    pay = [push(number, blobs, repository="pay") for number, blobs in ((21, {"two": 500}), (22, BASE), (23, BASE))]
    message = freed(run, wiring, *web, *pay, repositories=("shop/web", "pay"))
    assert message == "a collection then frees 10.5 kB, unless other repositories use these layers"
