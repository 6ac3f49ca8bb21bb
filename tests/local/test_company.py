"""The company of `demo --large` and of the replay: its pushes are recorded and planned as those of any client."""

import pytest

from service.clock import now_us
from service.domain.errors import LeaseLost
from service.domain.events import parse
from service.domain.retention.state import REFERRER_PREFIX
from service.local.company import DAY_US, Company, pushes
from service.local.company_player import AT_ONCE, CompanyPlayer, batches
from service.local.company_times import CompanyTimes
from service.prune import planning
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last

pytestmark = pytest.mark.slow

COMPANY = Company(repositories=5, jobs=1, builds=12, days=10, multi_arch=0.5, signed=0.5, releases=0.2)
KEPT = 3


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    # `stable` and `latest` share images with other tags, which are then deleted alone.
    policy = keep_last(KEPT, protect=["latest", "stable"])
    return make_wiring(policy=policy, reconcile={"late": f"{COMPANY.days:g}d"})


def test_a_seed_gives_the_same_pushes_each_time_and_another_seed_others() -> None:
    of_seed = [list(pushes(Company(seed=seed, jobs=1, days=5), 10 * DAY_US)) for seed in (1, 1, 2)]
    assert of_seed[0] == of_seed[1] != of_seed[2]


def test_pushes_come_in_order_within_the_days_of_the_company() -> None:
    end_us = now_us()
    times = [push.at_us for push in pushes(COMPANY, end_us)]
    assert times == sorted(times)
    assert end_us - COMPANY.days * DAY_US <= times[0] < times[-1] < end_us


def test_every_notification_is_understood_and_blobs_come_before_their_manifest() -> None:
    for push in pushes(COMPANY, now_us()):
        events = [event for body in push.bodies for event in parse(body, now_us()).events]
        assert len(events) == len(push.bodies)
        assert [event.is_blob for event in events] == [True] * (len(events) - 1) + [False]
        assert (events[-1].tag or "", events[-1].digest) == (push.tag, push.digest)


def test_a_batch_has_as_many_notifications_as_the_web_process_records_together() -> None:
    of_company = list(pushes(COMPANY, now_us()))
    made = list(batches(of_company))
    assert [push for batch in made for push in batch] == of_company
    sizes = [sum(len(push.bodies) for push in batch) for batch in made]
    assert max(sizes) <= AT_ONCE
    assert sum(sizes) / len(sizes) > AT_ONCE / 2


def test_the_history_of_a_played_company_has_the_tags_of_its_registry_and_those_that_the_policy_keeps(
    wiring: Wiring,
) -> None:
    player, history = CompanyPlayer(wiring), wiring.store.history
    deleted = sum(player.enforce(player.record(batch)) for batch in batches(pushes(COMPANY, now_us())))
    assert deleted > 20
    assert len(history.repositories()) == COMPANY.repositories
    for repository in history.repositories():
        assert set(history.tag_names(repository)) == set(player.registry.tags(repository))
        counted = [tag for tag in history.live(repository) if not tag.name.startswith(REFERRER_PREFIX)]
        others = {tag.digest for tag in counted if tag.name not in ("latest", "stable")}
        assert 0 < len(others) <= KEPT
    actions = {entry.action for entry in history.entries(count=None)}
    assert actions == {"push", "pruned"}


def test_a_plan_is_made_again_if_its_lease_ended_because_the_machine_stood_still(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []

    def enforce(_: Wiring, repository: str) -> None:
        planned.append(repository)
        if len(planned) == 1:
            raise LeaseLost("the lease could not be renewed in time")

    monkeypatch.setattr(planning, "enforce", enforce)
    CompanyPlayer(wiring).plan("team00/service00000")
    assert planned == ["team00/service00000"] * 2


def test_messages_to_workers_are_dropped_because_their_work_is_done(wiring: Wiring) -> None:
    player = CompanyPlayer(wiring)
    for batch in batches(pushes(COMPANY, now_us())):
        player.enforce(player.record(batch))
    assert wiring.store.outbox.waiting(f"{wiring.settings.redis.prefix}enforce") > 0
    player.drop_messages()
    assert wiring.store.outbox.waiting(f"{wiring.settings.redis.prefix}enforce") == 0
    assert wiring.store.outbox.backlog().doomed == 0


def test_entries_are_moved_to_the_times_at_which_the_company_made_them(wiring: Wiring) -> None:
    player, times, end_us = CompanyPlayer(wiring), CompanyTimes(), now_us()
    for batch in batches(pushes(COMPANY, end_us)):
        times.begin(batch[-1].at_us)
        player.enforce(player.record(batch))
    history = wiring.store.history
    before = history.entries(count=None)
    times.move(wiring.store.connection, history.repositories())
    moved = history.entries(count=None)
    assert [(entry.action, entry.tag, entry.digest) for entry in moved] == [
        (entry.action, entry.tag, entry.digest) for entry in before
    ]
    assert [entry.at_us for entry in moved if entry.action == "push"] == [
        entry.at_us for entry in before if entry.action == "push"
    ]
    begin_us = end_us - COMPANY.days * DAY_US
    assert all(begin_us <= entry.at_us < end_us for entry in moved)
    assert all(int(entry.id.partition("-")[0]) == entry.at_us // 1000 for entry in moved)
    of_each = [entry for name in history.repositories() for entry in history.entries(name, count=None)]
    assert sorted(entry.at_us for entry in of_each) == sorted(entry.at_us for entry in moved)
    deletions = [entry.at_us for entry in moved if entry.action == "pruned"]
    assert max(deletions) - min(deletions) > 5 * DAY_US
