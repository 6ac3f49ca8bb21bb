"""Manual deletions follow the order of every deletion, and never delete more than was asked for."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

import pytest

from service.domain.policy.model import Policy
from service.domain.retention.manual import DRY
from service.prune import deleting, planning
from tests.conftest import MakeWiring, keep_last
from tests.fakes.images import index_over, make_image, make_index
from tests.support.deletions import both, pull
from tests.support.makers import policy
from tests.support.pushes import attach, sign
from tests.support.system import SHOP, Make, System, untag_first

NO_RULES = Policy()


def ask(system: System, *names: str, force: bool = False, settle: bool = True) -> None:
    """Let alice request the deletion of these tags, or digests, as they are now."""
    tags = system.registry.tags(SHOP)
    noted = system.store.manual.request(SHOP, {name: tags.get(name, name) for name in names}, "alice", force=force)
    assert set(noted) == set(names)
    system.messages.enforce(SHOP)
    if settle:
        system.settle()


def refused(system: System) -> Mapping[str, str]:
    return {name: asked.rejected for name, asked in system.store.manual.requests(SHOP).items()}


def settled(make_system: Make, *tags: str, policy: Policy = NO_RULES, version: str = "2.8", **more: Any) -> System:
    """Make a system with these tags, in which no work is left."""
    system = make_system(policy, version, **more)
    system.push(*tags)
    system.settle()
    return system


@both
def test_a_manual_deletion_needs_no_rule_and_the_history_names_the_user(make_system: Make, version: str) -> None:
    system = settled(make_system, "v1", "v2", version=version)
    ask(system, "v1")
    assert system.tags() == {"v2"}
    assert len(system.registry.manifests(SHOP)) == 1
    (entry,) = (item for item in system.store.history.entries(SHOP) if item.action == "pruned")
    assert (entry.tag, entry.actor, entry.reason) == ("v1", "alice", "deleted manually by alice")
    assert refused(system) == {}


def test_a_manual_deletion_needs_no_policy(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = settled(make_system, "v1", "v2")
    monkeypatch.setattr(system.wiring.policies, "current", lambda: None)
    ask(system, "v1")
    assert system.tags() == {"v2"}


def test_a_manually_deleted_image_can_be_restored_and_is_kept_then(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    ask(system, "v1")
    system.wiring.restore.restore(SHOP, tag="v1", lease_s=0)
    system.later()
    assert system.tags() == {"v1", "v2"}


def test_an_index_that_was_restored_is_kept_with_its_parts_and_signatures(make_system: Make) -> None:
    system = make_system(NO_RULES)
    system.registry.push_index(SHOP, "v1", platforms=3)
    name = sign(system, "v1")
    ask(system, "v1")
    assert system.registry.manifests(SHOP) == {}
    system.wiring.restore.restore(SHOP, tag="v1", lease_s=0)
    system.later()
    assert system.tags() == {"v1", name}
    assert len(system.registry.manifests(SHOP)) == 5


def test_a_simulation_counts_it_as_done_by_a_user_and_not_by_the_policy(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    ask(system, "v1")
    assert [event.kind for event in system.store.archive.events(SHOP)] == ["pushed", "pushed", "deleted"]


@both
def test_a_digest_that_another_tag_holds_is_kept(make_system: Make, version: str) -> None:
    system = make_system(policy("shared: keep"), version)
    for tag in ("v1", "stable"):
        system.registry.push_image(SHOP, tag, seed="one")
    ask(system, "v1")
    assert system.tags() == {"stable"}
    assert system.reasons() == {"v1": "deleted manually by alice; its image is kept as stable"}
    assert len(system.registry.manifests(SHOP)) == 1


@both
def test_the_parts_and_the_signatures_of_an_index_are_deleted_after_it(make_system: Make, version: str) -> None:
    system = make_system(NO_RULES, version)
    system.registry.push_index(SHOP, "v1", platforms=3)
    sign(system, "v1")
    attach(system, make_index(f"{SHOP}:v1", platforms=3))
    system.registry.push_index(SHOP, "v2")
    ask(system, "v1")
    assert system.tags() == {"v2"}
    assert len(system.registry.manifests(SHOP)) == 3


def test_signatures_of_parts_are_deleted_after_the_parts(make_system: Make) -> None:
    system = make_system(NO_RULES)
    part = make_image("part")
    system.registry.push(SHOP, "v1", index_over([index_over([part], seed="inner")]))
    name = f"{part.digest.replace(':', '-')}.sig"
    system.registry.push(SHOP, name, make_image(name))
    ask(system, "v1")
    assert system.registry.manifests(SHOP) == {}


def test_the_parts_of_an_index_are_deleted_with_it_also_where_they_have_tags_that_are_deleted(
    make_system: Make,
) -> None:
    system = make_system(NO_RULES)
    part = make_image("part")
    system.registry.push(SHOP, "all", index_over([part]))
    system.registry.push(SHOP, "amd64", part)
    ask(system, "amd64", "all")
    assert system.registry.manifests(SHOP) == {}


def test_a_push_rescues_what_is_about_to_be_deleted(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    ask(system, "v1", settle=False)
    planning.enforce(system.wiring, SHOP)
    assert [doomed.tags for doomed in system.store.history.doomed(SHOP)] == [("v1",)]
    system.push("v1")
    system.settle()
    assert system.tags() == {"v1", "v2"}


def test_no_pull_holds_it_up(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    ask(system, "v1", settle=False)
    agents = itertools.count()
    system.registry.before("GET", "tags/list", lambda: pull(system, digest, f"{next(agents)}"), times=None)
    planning.enforce(system.wiring, SHOP)
    before = system.store.history.snapshot(SHOP)
    pull(system, digest, "docker")
    assert system.store.history.is_current(before)
    assert [request.tags for request in system.store.history.doomed(SHOP)] == [("v1",)]
    assert len([request for request in system.registry.requests if request.path.endswith("tags/list")]) == 2, (
        "planned once"
    )


def test_another_tag_that_a_waiting_plan_would_take_holds_the_image(make_system: Make) -> None:
    system = make_system(keep_last(1, hold_over=0, hold_min=0))
    for tag in ("v1", "v2"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v3")
    system.settle()
    ask(system, "v1")
    assert system.tags() == {"v2", "v3"}
    assert len(system.registry.manifests(SHOP)) == 2


def test_the_policy_has_its_turn_afterwards(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2", "v3")
    ask(system, "v3")
    assert system.tags() == {"v2"}
    assert system.reasons() == {
        "v3": "deleted manually by alice", "v1": "older than the newest (rule last)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "why"), [({"dry_run": True}, DRY), ({"protect": ["v1"]}, "protected by the policy")]
)
def test_a_deletion_that_the_policy_forbids_is_refused_unless_forced(
    make_system: Make, message: dict[str, Any], why: str
) -> None:
    system = settled(make_system, "v1", "v2", policy=Policy.model_validate(message))
    ask(system, "v1")
    assert (system.tags(), refused(system)) == ({"v1", "v2"}, {"v1": why})
    ask(system, "v1", force=True)
    assert (system.tags(), refused(system)) == ({"v2"}, {})


def test_a_dry_run_still_shows_what_would_be_deleted(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2", "v3", policy=keep_last(1, dry_run=True))
    ask(system, "v2", force=True)
    assert system.tags() == {"v1", "v3"}
    assert [doomed.tags for doomed in system.store.history.doomed(SHOP, dry=True)] == [("v1",)]


def test_the_deletion_of_a_protected_image_is_refused(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    key = system.store.connection.keys.of("leased", SHOP)
    client: Any = system.store.connection.client
    client.zadd(key, {system.registry.tags(SHOP)["v1"]: time.time() * 1000 + 60_000})
    ask(system, "v1")
    assert (system.tags(), refused(system)) == ({"v1", "v2"}, {"v1": "protected by a user"})


def test_the_deletion_of_a_signature_of_an_existing_image_is_refused(make_system: Make) -> None:
    system = settled(make_system, "v1")
    name = sign(system, "v1")
    ask(system, name)
    assert system.tags() == {"v1", name}
    assert "belongs to" in refused(system)[name]


def test_a_manifest_without_a_tag_is_deleted_by_its_digest(make_system: Make) -> None:
    system = make_system(NO_RULES)
    old = system.registry.push_image(SHOP, "main", seed="old")
    system.registry.push_image(SHOP, "main", seed="new")
    system.settle()
    ask(system, old)
    assert system.registry.manifests(SHOP).keys() == {system.registry.tags(SHOP)["main"]}
    assert system.reasons() == {"": "deleted manually by alice"}


def test_an_unreported_manifest_is_deleted_too(make_system: Make) -> None:
    system = settled(make_system, "v1")
    system.deaf = True
    digest = system.registry.push_image(SHOP, None, seed="unheard of")
    system.deaf = False
    ask(system, digest)
    assert digest not in system.registry.manifests(SHOP)
    assert system.tags() == {"v1"}


def test_a_manifest_that_has_a_tag_after_all_is_kept(make_system: Make) -> None:
    system = settled(make_system, "v1")
    system.deaf = True
    digest = system.registry.push_image(SHOP, "found", seed="unheard of")
    system.deaf = False
    ask(system, digest)
    assert system.tags() == {"v1", "found"}
    assert refused(system) == {}


def test_an_overwritten_digest_is_kept_where_only_its_tag_was_asked_for(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: main, keep: {revisions: 3}}]"))
    digest = system.registry.push_image(SHOP, "main", seed="old")
    system.registry.push_image(SHOP, "main", seed="new")
    system.registry.push_image(SHOP, "v1", seed="old")
    system.settle()
    ask(system, "v1")
    assert system.tags() == {"main"}
    assert digest in system.registry.manifests(SHOP)


@both
@pytest.mark.parametrize("answered", [True, False])
def test_a_deletion_that_failed_in_the_middle_is_completed(make_system: Make, version: str, answered: bool) -> None:
    system = settled(make_system, "v1", "v2", version=version)
    system.registry.drop_connection("DELETE", handled=answered)
    ask(system, "v1", settle=False)
    system.work()
    system.later()
    assert system.tags() == {"v2"}
    assert system.reasons() == {"v1": "deleted manually by alice"}
    assert refused(system) == {}


def test_a_plan_that_is_dropped_while_its_delete_is_on_the_way_puts_nothing_back(make_system: Make) -> None:
    system = settled(make_system, "v1", "v2")
    system.registry.after("DELETE", "", lambda: system.store.outbox.mark_due([SHOP]))
    ask(system, "v1")
    system.later()
    assert system.tags() == {"v2"}
    assert system.reasons("healed") == {}


def test_the_policys_own_delete_on_its_way_is_not_restored_by_what_is_asked_meanwhile(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: last, tags: [v*], keep: {last: 1}}]"))
    system.push("v1", "v2", "other")
    planning.enforce(system.wiring, SHOP)
    other = {"other": system.registry.tags(SHOP)["other"]}
    system.registry.after("DELETE", "", lambda: system.store.manual.request(SHOP, other, "alice"))
    deleting.delete(system.wiring, SHOP)
    system.messages.enforce(SHOP)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    assert system.reasons("healed") == {}
    assert set(system.reasons()) == {"v1", "other"}


@both
def test_many_are_deleted_tags_first_and_no_rule_has_to_say_that_their_images_follow(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    untag_first(monkeypatch)
    system = make_system(NO_RULES, version)
    names = [f"v{number}" for number in range(12)]
    for name in names:
        system.registry.push_image(SHOP, name, layers=0)
    system.settle()
    ask(system, *names[:-1])
    assert system.tags() == {"v11"}
    assert len(system.registry.manifests(SHOP)) == 1
    actors = {entry.actor for entry in system.store.history.entries(SHOP, 500) if entry.action == "pruned"}
    assert actors == {"alice"}


def test_images_whose_tags_are_off_are_deleted_although_the_plan_is_dropped_in_between(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    untag_first(monkeypatch)
    system = settled(make_system, "v1", "v2", "v3", version="3")
    ask(system, "v1", "v2", settle=False)
    planning.enforce(system.wiring, SHOP)
    taken = system.store.deletions.untagged

    def and_drop(*args: Any) -> bool:
        again = taken(*args)
        system.store.outbox.mark_due([SHOP])
        return again

    monkeypatch.setattr(system.store.deletions, "untagged", and_drop)
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v3"}
    assert len(system.registry.manifests(SHOP)) == 3
    system.later()
    assert len(system.registry.manifests(SHOP)) == 1


def test_a_repeated_request_is_not_answered_by_the_result_of_the_first(
    make_wiring: MakeWiring, make_system: Make
) -> None:
    system = settled(make_system, "v1", policy=Policy(protect=("v1",)))
    snapshot = system.store.history.snapshot(SHOP)
    ask(system, "v1", settle=False)
    first = system.store.manual.requests(SHOP)
    ask(system, "v1", force=True, settle=False)
    system.store.manual.reject(SHOP, first, {"v1": "no"})
    assert snapshot.manual_deletions == {}
    assert refused(system) == {"v1": ""}
