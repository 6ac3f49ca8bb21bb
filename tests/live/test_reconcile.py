"""A registry that is years old, and lost events, with a real registry, real workers and a reconcile run."""

from typing import Any

import pytest

from service.domain.history import reconciliation
from tests.fakes.years import fill
from tests.live.conftest import Live, LiveSystem, wait_until

KEEP_ALL: dict[str, Any] = {"rules": [{"name": "all", "keep": "always"}]}


@pytest.mark.parametrize(("repositories", "tags"), [(40, 25), pytest.param(200, 50, marks=pytest.mark.deep)])
def test_a_registry_that_was_there_before(live: Live, repositories: int, tags: int) -> None:
    system = live(policy=KEEP_ALL, storage={}, reconcile={"rate": 50})
    filled = fill(system.registry.storage_path, repositories, tags)
    worker = system.start_worker("enforce,delete,reconcile")
    walks = system.store.reconcile_runs

    def compared() -> int:
        under = walks.current()
        return under.repositories if under else 0

    # The walk takes twenty seconds more: a busy machine has the time to kill the worker.
    wait_until(lambda: compared() >= 2, "the first walk does not begin by itself")
    system.kill(worker)
    done = compared()
    assert done < repositories, "it was over before the worker was killed"
    system.config.write_text(system.config.read_text().replace("rate: 50", "rate: 400"))
    system.start_worker("enforce,delete,reconcile")
    last = wait_until(walks.last, "the walk does not go on")
    # The first event counts as a start of the registry, after which all is compared once more.
    assert last.reason in {reconciliation.FIRST_START, reconciliation.REGISTRY_RESTARTED}
    assert (last.whole, last.failed) == (True, 0)
    assert last.repositories == repositories
    for repository, standing in filled.items():
        assert {tag.name: tag.digest for tag in system.store.history.live(repository)} == standing
    asked = system.registry.request_count("pushprune/")
    assert asked <= 1.1 * repositories * tags + repositories, f"{asked} requests"

    heard_all(system)
    own = system.store.outbox.counters()["own"]
    walks.request(reconciliation.MANUAL)
    again = wait_until(lambda: (w := walks.last()) and w.reason == reconciliation.MANUAL and w, "no second walk")
    assert (again.repositories, again.tags, again.changed) == (repositories + 1, repositories * tags + 1, 0)
    heard_all(system)
    assert system.store.outbox.counters()["own"] == own, "the second walk was heard of"


def heard_all(system: LiveSystem) -> None:
    """The registry reports events in order: with this push, all events before it were reported."""
    pushed = system.pusher.push_image("marks/heard", "now")

    def heard() -> bool:
        entries = system.store.history.entries("marks/heard", 5)
        return any(entry.digest == pushed and entry.action == "push" for entry in entries)

    wait_until(heard, "the registry has not told everything yet")


@pytest.mark.parametrize("messages", [True, False], ids=["an event tells of it", "its debug server tells of it"])
def test_events_that_were_lost_at_a_restart_are_made_good_by_itself(live: Live, messages: bool) -> None:
    system = live(policy=KEEP_ALL)
    system.start_worker("enforce,delete,reconcile")
    wait_until(system.store.reconcile_runs.last, "the registry was not compared after the first start")
    system.pusher.push_image("shop/api", "before")
    wait_until(lambda: system.heard("shop/api", {"before"}), "the push was not heard")
    system.kill(system.web)
    for number in range(30):
        system.pusher.push_image("shop/api", f"v{number}")
    system.registry.restart()
    system.web = system.start("web", "web")
    if messages:
        system.pusher.push_image("shop/web", "after")
    everything = {"before", *(f"v{number}" for number in range(30))}
    wait_until(lambda: system.heard("shop/api", everything), "what was lost was not made good")
    wait_until(
        lambda: (w := system.store.reconcile_runs.last()) and w.reason == reconciliation.REGISTRY_RESTARTED,
        "no walk after it",
    )
    entries = system.store.history.entries("shop/api", 100)
    assert {entry.tag for entry in entries if entry.action == "adopted"} == everything - {"before"}
