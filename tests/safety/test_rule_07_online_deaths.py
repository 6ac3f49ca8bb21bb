"""Safety rule 7: an online collection harms nothing if Redis loses data, or a worker dies, stops or loses a race."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.collect.online.claiming import Claiming
from service.collect.online.journal import JOURNAL
from service.domain.collection.gate import WriteRequest
from service.domain.collection.run import Run
from service.domain.errors import StorageUnavailable, StoreUnavailable
from service.store.lease import COLLECT
from tests.conftest import MakeWiring
from tests.fakes.images import make_image, sha256
from tests.support.online import ANN, GRACE_S, SHOP, YOUTH_S, OnlineSite, blobs_of, ended, make_site

pytestmark = pytest.mark.slow

KEPT, UNUSED = make_image(1), make_image(2, layers=3)
LAYER = sha256(UNUSED.blobs[1])
SIZE = len(UNUSED.blobs) + 1
WRITING, READING = ("claim", "write", "delete", "rename"), ("list", "copy", "clock", "debug")


@pytest.fixture
def site(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnlineSite:
    """A site with an image that is kept and one that was deleted."""
    site = make_site(make_wiring, tmp_path, monkeypatch)
    for image in (KEPT, UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)
    return site


def unlinked(site: OnlineSite) -> None:
    assert site.collect_after().unlinked == SIZE


def test_a_client_that_loses_a_race_sees_an_error_and_never_a_hole(site: OnlineSite) -> None:
    """An unlinked blob is answered 404, its mount becomes an upload, and a manifest that needs it is refused."""
    unlinked(site)
    assert site.stored() == blobs_of(KEPT, UNUSED)
    assert not site.registry.head(SHOP, LAYER)
    assert not site.registry.mount("other", LAYER, SHOP)
    assert not ended(site.blind(SHOP, "blind", UNUSED))
    assert site.registry.broken() == ()
    assert ended(site.pushing(SHOP, "again", UNUSED))
    site.collect_after(GRACE_S + 1)
    assert site.registry.broken() == ()


def test_data_is_deleted_no_sooner_than_its_grace_after_it_was_unlinked(site: OnlineSite) -> None:
    """Both clocks count: that of the storage and that of Redis."""
    unlinked(site)
    assert site.collect_after(GRACE_S - 60).blobs == 0
    connection, real_us = site.store.connection, site.store.connection.now_us
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "now_us", lambda: real_us() - 3_600_000_000)
        assert site.collect_after(120).blobs == 0, "the clock of Redis was set back by an hour"
    assert site.collect().blobs == SIZE


@pytest.mark.parametrize("is_redis", [True, False])
def test_nothing_is_deleted_after_redis_or_the_storage_lost_the_journal(site: OnlineSite, is_redis: bool) -> None:
    """The grace of all blobs begins anew."""
    unlinked(site)
    connection = site.store.connection
    if is_redis:
        client = connection.redis
        client.delete(*client.scan_iter(connection.keys.of("*")))
        site.noting_for(YOUTH_S + 60)
    else:
        site.plain.delete([JOURNAL])
    run = site.collect_after(GRACE_S + 1)
    assert (run.blobs, run.unlinked) == (0, 0)
    assert "gc.grace starts again" in run.note
    assert site.collect_after(GRACE_S + 1).blobs == 0
    assert site.collect_after(GRACE_S + 1).blobs == SIZE


@pytest.mark.parametrize("action", ["claim", "copy", "delete"])
def test_redis_that_is_flushed_while_data_is_deleted_harms_nothing(site: OnlineSite, action: str) -> None:
    unlinked(site)
    site.later(GRACE_S + 1)
    connection, pending = site.store.connection, [True]

    def flush(name: str, keys: tuple[str, ...]) -> None:
        if name == action and pending:
            pending.clear()
            connection.client.delete(*connection.client.scan_iter(connection.keys.of("*")))

    site.objects.before_step = flush
    site.collect()
    assert not pending
    assert blobs_of(KEPT) <= site.stored()
    # A client whose request waited.
    assert ended(site.pushing(SHOP, "again", UNUSED))
    assert site.registry.broken() == ()
    site.noting_for(YOUTH_S + 60)
    site.collect_after(GRACE_S + 1)
    assert site.registry.broken() == ()


@pytest.mark.parametrize("in_pages", [False, True])
def test_a_worker_that_is_killed_at_any_step_harms_nothing(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch, in_pages: bool
) -> None:
    """The next run continues its work, and every claim ends with the proof of its death."""
    if in_pages:
        site.in_pages(monkeypatch)
    deaths = 0
    for wait_s in (YOUTH_S + 1, GRACE_S + 1):
        site.later(wait_s)
        at = 0
        while site.killed(at):
            at, deaths = at + 1, deaths + 1
            site.recover()
            assert site.store.gate.state() is None
            assert blobs_of(KEPT) <= site.stored()
            assert site.registry.broken() == ()
    assert deaths > 10
    for _ in range(3):
        site.collect_after(GRACE_S + 1)
    assert site.stored() == blobs_of(KEPT)


@pytest.fixture
def stopped(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Run]]:
    """A worker that is stopped right before it deletes data, and whose lease ended. Called, it goes on to its end."""
    monkeypatch.setattr("service.registry.collector._PROOF_S", 0.05)
    unlinked(site)
    site.later(GRACE_S + 1)
    is_stopped, goes_on, runs = threading.Event(), threading.Event(), list[Run]()

    def stop(action: str, keys: tuple[str, ...]) -> None:
        if action == "delete" and not is_stopped.is_set():
            is_stopped.set()
            goes_on.wait(240)

    def go_on() -> Run:
        goes_on.set()
        worker.join()
        return runs[0]

    site.objects.before_step = stop
    worker = threading.Thread(target=lambda: runs.append(site.collect()))
    worker.start()
    assert is_stopped.wait(240)
    connection = site.store.connection
    connection.client.delete(connection.keys.of("lease", COLLECT))
    yield go_on
    go_on()


def admits(site: OnlineSite) -> bool:
    return site.store.gate.admit(WriteRequest("asks", SHOP, LAYER), ANN).passes


def test_claims_in_a_bucket_are_kept_until_no_request_of_their_worker_can_arrive(
    site: OnlineSite, stopped: Callable[[], Run]
) -> None:
    """No lock proves the death of a worker on another machine, and its requests stay valid for a while."""
    site.later(15 * 60)
    second = site.collect()
    assert (second.result, second.blobs) == ("postponed", 0)
    site.reopen()
    assert not admits(site)
    assert "wait for 1 more minutes" in {trouble.message for trouble in site.store.outbox.troubles()}.pop()
    site.later(61)
    site.reopen()
    assert admits(site)
    assert site.store.outbox.troubles() == ()


def test_a_trouble_reports_that_all_pushes_wait_for_a_dead_worker(site: OnlineSite) -> None:
    """Old manifests are deleted while PUTs of manifests wait, and a request to a bucket may arrive late."""
    assert site.store.gate.claim("token", 1, "by hand", with_manifests=True)
    site.later(5 * 60)
    site.reopen()
    (trouble,) = site.store.outbox.troubles()
    assert "all pushes, wait for" in trouble.message


def test_claims_are_kept_while_their_worker_has_its_lease(site: OnlineSite, stopped: Callable[[], Run]) -> None:
    with site.store.leases.hold(COLLECT):
        site.recover()
        assert not admits(site)


def test_a_worker_that_was_stopped_for_longer_than_its_lease_deletes_nothing(
    site: OnlineSite, stopped: Callable[[], Run]
) -> None:
    site.recover()
    assert ended(site.pushing(SHOP, "again", UNUSED))
    run = stopped()
    assert run.result == "failed"
    # The quarantine would repair what was deleted.
    assert "brought back" not in run.note
    assert site.stored() == blobs_of(KEPT, UNUSED)
    assert site.registry.broken() == ()


def stopped_at(site: OnlineSite, step: int, kinds: tuple[str, ...]) -> bool:
    """Stop the worker before this step until its claims have ended, and let it go on. False if its run has fewer.

    Args:
        site: with an image to unlink or to delete, which is pushed again meanwhile.
        step: its number.
        kinds: of steps that count.
    """
    count = 0

    def stop(action: str, keys: tuple[str, ...]) -> None:
        nonlocal count
        count += action in kinds
        if count == step and action in kinds:
            connection = site.store.connection
            connection.client.delete(connection.keys.of("lease", COLLECT))
            site.recover()
            assert ended(site.pushing(SHOP, "again", UNUSED))

    site.objects.before_step = stop
    run = site.collect()
    site.objects.before_step = lambda action, keys: None
    if count >= step:
        assert site.registry.broken() == (), f"stopped before step {step}"
        assert "brought back" not in run.note, f"stopped before step {step}"
        assert "written again" not in run.note, f"stopped before step {step}"
    return count >= step


@pytest.mark.parametrize("kinds", [WRITING, pytest.param((*WRITING, *READING), marks=pytest.mark.deep)])
@pytest.mark.parametrize("deletes", [False, True])
def test_a_worker_that_is_stopped_at_any_step_breaks_nothing(
    site: OnlineSite, deletes: bool, kinds: tuple[str, ...]
) -> None:
    """The claims end meanwhile, and the image that it was about to unlink or to delete is pushed again."""
    site.collect()
    step = 1
    while True:
        site.later(YOUTH_S + 1)
        if deletes:
            site.collect()
            site.later(GRACE_S + 1)
        if not stopped_at(site, step, kinds):
            break
        site.reopen()
        site.collect_after(1)
        assert site.registry.broken() == (), f"stopped before step {step}"
        site.registry.delete(SHOP, UNUSED.digest)
        step += 1
    assert step > 5


def test_claims_are_kept_if_the_storage_does_not_answer(site: OnlineSite) -> None:
    """The storage may still carry out the deletion."""
    unlinked(site)

    def unanswered(action: str, keys: tuple[str, ...]) -> None:
        if action == "delete":
            raise StorageUnavailable("no answer")

    site.later(GRACE_S + 1)
    site.objects.before_step = unanswered
    run = site.collect()
    assert (run.result, run.message) == ("failed", "no answer")
    site.reopen()
    assert not admits(site)
    site.recover()
    assert admits(site)


def test_a_stopped_worker_on_a_filesystem_keeps_its_claims_by_the_kernel_lock(
    site: OnlineSite, stopped: Callable[[], Run]
) -> None:
    """The worker may rename the data at any time, however long ago its lease ended."""
    site.objects.renames = True
    site.later(24 * 3600)
    assert site.collect().result == "postponed"
    site.reopen()
    assert not admits(site)
    stopped()
    assert site.registry.broken() == ()


@pytest.mark.parametrize("is_local", [True, False])
def test_a_gate_that_could_not_be_opened_is_opened_by_the_next_claim_if_that_proves_that_nothing_is_left(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch, is_local: bool
) -> None:
    """Redis was away at that moment. The lock proves it on a filesystem; in a bucket only time does."""
    site.objects.renames = is_local
    unlinked(site)
    site.later(GRACE_S + 1)
    gate = site.store.gate
    real, failures = gate.open, [StoreUnavailable("Redis is away")]

    def open_gate(token: str) -> bool:
        if failures:
            raise failures.pop()
        return real(token)

    monkeypatch.setattr(gate, "open", open_gate)
    hold, puts = Claiming.hold_manifests, [0.0]
    # A manifest was put meanwhile, so the old manifest is deleted under a second claim.
    monkeypatch.setattr(Claiming, "hold_manifests", lambda *given: puts.pop() if puts else hold(*given))
    run = site.collect()
    assert (run.result, run.blobs) == (("done", SIZE) if is_local else ("postponed", SIZE - 1))
    assert (gate.state() is None) == is_local
    site.recover()
    assert gate.state() is None
