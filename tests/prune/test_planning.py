"""The main line over the fake registry: tags beyond the last N are deleted, and no others."""

import pytest

from service.domain.policy.model import Policy
from service.prune import deleting, planning
from service.reconcile import compare
from tests.conftest import keep_last
from tests.fakes.pusher import Pusher
from tests.support.deletions import ago
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_exactly_the_last_pushed_remain_whatever_their_names_sort_like(make_system: Make, version: str) -> None:
    system = make_system(keep_last(3), version)
    for tag in ("zz", "b9", "a1", "b10", "m", "0", "zzz"):
        system.push(tag)
        system.settle()
    assert system.tags() == {"m", "0", "zzz"}
    assert system.reasons() == dict.fromkeys(("zz", "b9", "a1", "b10"), "older than the newest 3 (rule last)")


def test_a_push_that_overflows_nothing_makes_no_request(make_system: Make) -> None:
    system = make_system(keep_last(3))
    system.push("a", "b", "c")
    system.settle()
    assert system.registry.count("pushprune/") == 0


def test_a_repository_of_which_nothing_is_deleted_is_found_before_its_pushes_reach_the_limit_of_unknown_ones(
    make_system: Make,
) -> None:
    system = make_system(policy("rules: [{keep: always}]"))
    system.push("v1")
    system.settle()
    assert system.store.unseen.has(SHOP)
    system.push(*(f"v1.{number}" for number in range(99)))
    system.settle()
    assert not system.store.unseen.has(SHOP)


def test_a_push_that_overflows_by_one_makes_three_requests_once_compared(make_system: Make) -> None:
    system = make_system(keep_last(3))
    system.push("a", "b", "c", "d")
    system.settle()
    before = system.registry.count("pushprune/")
    system.push("e")
    system.settle()
    assert system.tags() == {"c", "d", "e"}
    assert system.registry.count("pushprune/") - before == 3


@pytest.mark.parametrize(("shared", "left"), [("untag", set()), ("keep", {"v1"})])
def test_a_tag_that_shares_its_digest_with_a_kept_one_is_deleted_alone_or_is_kept(
    make_system: Make, shared: str, left: set[str]
) -> None:
    system = make_system(keep_last(2, protect=["latest"], shared=shared))
    system.registry.push_image("shop/api", "v1", seed="same")
    system.registry.push_image("shop/api", "latest", seed="same")
    system.push("v2", "v3")
    system.settle()
    assert system.tags() == {"latest", "v2", "v3"} | left
    system.pull_whole("latest")


def test_when_the_index_is_deleted_its_tagged_child_is_deleted_after_it(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.registry.push_index("shop/api", "multi")
    index = system.registry.tags("shop/api")["multi"]
    child = next(d for d in system.registry.manifests("shop/api") if d != index)
    manifest = system.wiring.registry.client.get("shop/api", child)
    assert manifest is not None
    Pusher(system.registry.url).put("shop/api", "amd64", manifest.media_type, manifest.content)
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}


def test_dry_run_decides_and_records_and_deletes_nothing(make_system: Make) -> None:
    system = make_system(keep_last(1, dry_run=True))
    system.push("v1", "v2")
    system.settle()
    assert system.tags() == {"v1", "v2"}
    assert [d.verdicts[0].tag.name for d in system.store.history.doomed("shop/api", dry=True)] == ["v1"]
    assert system.registry.count("pushprune/", "DELETE") == 0


def held_then_diluted(make_system: Make, rules: Policy) -> System:
    """Three of four tags wait; then other tags make them three of eight."""
    system = make_system(rules)
    system.push("v1", "v2", "v3", "v4")
    system.settle()
    assert system.store.approvals.held("shop/api") == "it would delete 3 of 4 tags, more than 50% (hold_over)"
    system.push("w1", "w2", "w3", "w4")
    system.settle()
    return system


OF_V = policy("rules: [{tags: v*, keep: {last: 1}}]\nhold_over: 50%\nhold_min: 2")


def test_a_push_does_not_slip_past_a_hold(make_system: Make) -> None:
    system = held_then_diluted(make_system, OF_V)
    assert len(system.tags()) == 8
    (hold,) = system.store.approvals.holds(["shop/api"])
    assert (len(hold.digests), hold.reason) == (
        3,
        "it would delete 3 of 8 tags; 3 images of an earlier plan still wait for approval (a push is no approval)",
    )
    assert system.wiring.verdicts.plan("shop/api").hold == hold.reason
    assert system.store.approvals.approve("shop/api") == 3
    system.store.outbox.mark_due(["shop/api"])
    planning.enforce(system.wiring, "shop/api")
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v4", "w1", "w2", "w3", "w4"}


def test_a_push_that_is_reported_before_its_tag_exists_is_not_dropped(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on 2.8.3: the event may come some 50 ms before the tag can be read."""
    monkeypatch.setattr(compare, "YOUNG_S", 10.0)
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    hidden = system.registry.storage.repositories["shop/api"].tags
    digest = hidden.pop("v3")
    system.registry.after("HEAD", "manifests/v3", lambda: hidden.update(v3=digest))
    system.settle()
    assert system.tags() == {"v2", "v3"}
    assert system.reasons("vanished") == {}


EVERYTHING = policy("""
    grace: 2h
    hold_over: 30%
    hold_min: 1
    rules:
    - {name: old, tags: v*, older_than: 3h, keep: {last: 1}, untagged: 5h}
    - {name: moving, tags: latest, keep: always, untagged: 5h}
    - {name: temporary, tags: t*, keep: none}
""")
PUSHED = {"v1": 9, "v2": 8, "v3": 7, "v4": 2.5, "v5": 1, "t1": 3, "t2": 1}


def test_the_preview_is_the_plan_that_is_committed(make_system: Make) -> None:
    """v4 is too young for its rule, t2 for grace; the first image that latest left has been untagged long enough."""
    system = make_system(EVERYTHING)
    left = [system.registry.push_image(SHOP, "latest", seed=str(hours), at=ago(hours)) for hours in (10, 6, 4, 1)]
    for tag, hours in PUSHED.items():
        system.registry.push_image(SHOP, tag, at=ago(hours))
    system.messages.sent.clear()
    planning.enforce(system.wiring, SHOP)
    (shown,) = system.wiring.verdicts.preview([SHOP])
    assert shown.hold == system.store.approvals.held(SHOP) is not None
    (hold,) = system.store.approvals.holds([SHOP])
    assert {verdict.tag.digest for verdict in shown.deletions} == set(hold.digests)
    system.store.approvals.approve(SHOP, hold.plan)
    (shown,) = system.wiring.verdicts.preview([SHOP])
    planning.enforce(system.wiring, SHOP)
    committed = {
        (verdict.tag.name, doomed.digest, verdict.reason, verdict.rule)
        for doomed in system.store.history.doomed(SHOP)
        for verdict in doomed.verdicts
    }
    assert {(v.tag.name, v.tag.digest, v.reason, v.rule) for v in shown.deletions} == committed
    assert {tag or digest for tag, digest, _, _ in committed} == {"v1", "v2", "t1", left[0]}
    assert shown.hold is None
