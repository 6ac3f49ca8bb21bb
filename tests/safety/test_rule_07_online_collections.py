"""Safety rule 7: an online collection deletes only blobs that nothing needs, whatever clients do meanwhile.

Clients push, mount, put manifests blindly and delete between any two accesses of a collection to the storage.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.collect.online import claiming
from service.collect.online import run as online_run
from service.domain.collection.digests import unpacked
from service.domain.collection.gate import WriteRequest
from service.domain.collection.run import Run
from service.domain.errors import StoreUnavailable
from service.registry.layout import parse
from tests.conftest import MakeWiring
from tests.fakes.images import Image, image_over, index_over, make_image, sha256, variant
from tests.support.online import ANN, GRACE_S, QUARANTINE_S, YOUTH_S, Client, OnlineSite, ended, make_site

pytestmark = pytest.mark.slow

BASE, LARGE = b"a layer that many images share", b"x" * 100
OLD = [image_over([BASE, LARGE], 1), image_over([BASE, b"own"], 2), make_image(3)]
INDEX = index_over(OLD[:2])
# Images whose layers, parts or whole content are garbage before they are pushed.
IMAGES = [*OLD, INDEX, image_over([BASE], 4), image_over([LARGE, b"new"], 5), index_over([OLD[0]], seed=1)]
REPOSITORIES = ("a", "b")


@dataclass(frozen=True)
class Action:
    """A client: its kind, its image, its repository, and the step of the collection at which it begins."""

    kind: str
    image: Image
    repository: str
    step: int

    def begin(self, site: OnlineSite) -> Client:
        """Begin its requests. A push that the bare registry would accept must be accepted, and complete at once."""
        if self.kind == "delete":
            return self._delete(site)
        if self.kind == "blind":
            return site.blind(self.repository, "blind", self.image)
        other = next(name for name in REPOSITORIES if name != self.repository)
        return self._push(site, other if self.kind == "mount" else "")

    def _push(self, site: OnlineSite, mount_from: str) -> Client:
        is_accepted = yield from site.pushing(self.repository, "new", self.image, mount_from)
        assert is_accepted, f"a push that the registry alone would accept was refused: {self}"
        damages = [damage for damage in site.registry.broken() if self.image.digest in damage]
        # A PUT that the registry did not count as in progress may miss something until the next look.
        assert damages == [] or not site.counts_puts, f"a push was accepted and is incomplete: {self}"
        return True

    def _delete(self, site: OnlineSite) -> Client:
        site.registry.delete(self.repository, self.image.digest)
        yield
        return True


ACTIONS = st.builds(
    Action,
    st.sampled_from(["push", "push", "mount", "blind", "delete"]),
    st.sampled_from(IMAGES),
    st.sampled_from(REPOSITORIES),
    st.integers(0, 40),
)
ROUNDS = st.lists(st.lists(ACTIONS, max_size=3), min_size=1, max_size=4)


class Interleaving:
    """Let clients continue between the accesses of a collection."""

    def __init__(self, site: OnlineSite, schedule: Iterator[int]) -> None:
        self._site, self._schedule = site, schedule
        self._actions: list[Action] = []
        self.clients: list[Client] = []
        self._steps = 0
        site.objects.before_step = site.objects.after_step = lambda action, keys: self._go_on()

    def begin(self, actions: list[Action]) -> None:
        """Let these clients begin at their steps of the next collection."""
        self._actions, self._steps = list(actions), 0

    def _go_on(self) -> None:
        self._steps += 1
        for action in [action for action in self._actions if action.step <= self._steps]:
            self._actions.remove(action)
            self.clients.append(action.begin(self._site))
        for client in list(self.clients):
            for _ in range(next(self._schedule)):
                try:
                    next(client)
                except StopIteration:
                    self.clients.remove(client)
                    break

    def finish(self) -> None:
        """Let all clients end: no request takes longer than the time until the next collection."""
        for client in (*self.clients, *(action.begin(self._site) for action in self._actions)):
            ended(client)
        self.clients.clear()
        self._actions.clear()


@pytest.mark.parametrize("examples", [25, pytest.param(2000, marks=pytest.mark.deep)])
def test_no_image_is_ever_broken_and_no_push_refused(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        ROUNDS,
        st.lists(st.sampled_from([0, 1, 2, 5, 40]), min_size=3, max_size=25),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([QUARANTINE_S, 0]),
    )
    def interleaved(
        rounds: list[list[Action]],
        schedule: list[int],
        keeps_one: bool,
        counts_puts: bool,
        renames: bool,
        reports_puts: bool,
        in_pages: bool,
        quarantine_s: int,
    ) -> None:
        with monkeypatch.context() as patches:
            site = make_site(make_wiring, tmp_path, patches, quarantine_s)
            site.counts_puts, site.objects.renames, site.reports_puts = counts_puts, renames, reports_puts
            if in_pages:
                site.in_pages(patches)
            if reports_puts:
                # A look at what was put lets clients continue, so that a moment may come later.
                patches.setattr(claiming, "_PAUSE_S", 0.05)
            for repository in REPOSITORIES:
                for image in (*OLD, INDEX):
                    site.registry.push(repository, "old", image)
                    if not (keeps_one and repository == "b" and image is OLD[1]):
                        site.registry.delete(repository, image.digest)
                for child in INDEX.children:
                    if not (keeps_one and repository == "b" and child.digest == OLD[1].digest):
                        site.registry.delete(repository, child.digest)
            clients = Interleaving(site, cycle([*schedule, 1]))
            for actions in rounds:
                site.later(YOUTH_S + GRACE_S)
                clients.begin(actions)
                run = site.collect()
                assert run.result == "done", run.message
                clients.finish()
            # The next look, when no push is left that began before.
            site.collect_after(1)
            assert site.registry.broken() == ()
            site.collect_after(2 * GRACE_S)
            site.collect_after(2 * GRACE_S)
            assert site.registry.broken() == ()
            assert site.stored() & site.registry.eligible() <= parts_of(site)

    interleaved()


def parts_of(site: OnlineSite) -> frozenset[str]:
    """The blobs of indexes whose parts have no revision: kept here, and not by the registry's own collector."""
    return frozenset(
        digest for image in IMAGES for child in image.children for digest in (child.digest, *map(sha256, child.blobs))
    )


GARBAGE = image_over([BASE, LARGE], 1)


@pytest.fixture
def site(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnlineSite:
    """A site with one deleted image. Data of layers is deleted at once, so that no quarantine repairs a fault."""
    site = make_site(make_wiring, tmp_path, monkeypatch, quarantine=0)
    site.registry.push("a", "old", GARBAGE)
    site.registry.push("b", "kept", make_image(9))
    site.registry.delete("a", GARBAGE.digest)
    return site


def at(site: OnlineSite, action: str, do: Callable[[], object]) -> None:
    """Do something once, before the first step of this kind of the next collection."""
    pending = [do]

    def step(name: str, keys: tuple[str, ...]) -> None:
        if name == action and pending:
            pending.pop()()

    site.objects.before_step = step


def collect_twice(site: OnlineSite, action: str, do: Callable[[], object]) -> Run:
    """Unlink, and after the grace delete; do something before the first step of this kind of the second run."""
    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    at(site, action, do)
    return site.collect()


def test_an_image_that_is_pushed_again_after_the_inventory_is_not_deleted(site: OnlineSite) -> None:
    """The gate knows of the push, although no inventory does."""
    collect_twice(site, "claim", lambda: ended(site.pushing("a", "again", GARBAGE)))
    assert site.registry.broken() == ()
    assert site.registry.head("a", sha256(BASE))


def test_data_is_kept_if_a_link_was_written_past_the_gate(site: OnlineSite) -> None:
    """pushprune writes such links itself when it restores an image, as does a registry without the gate."""
    assert site.collect_after().unlinked
    site.registry.upload("a", BASE)
    site.collect_after(GRACE_S + 1)
    assert site.has(sha256(BASE))


def test_a_manifest_that_is_put_again_after_the_inventory_is_not_deleted(site: OnlineSite) -> None:
    """The PUT of a manifest by tag names no digest. Another push has uploaded its layers."""
    run = collect_twice(site, "claim", lambda: ended(site.pushing("b", "again", GARBAGE)))
    assert site.registry.broken() == ()
    assert "brought back" not in run.note


def test_a_put_of_a_manifest_waits_while_manifests_are_deleted(site: OnlineSite) -> None:
    """The registry would find the data and not write it again, and the deletion would then remove the data."""
    site.registry.push("a", "kept", variant(GARBAGE, 1))
    client = site.blind("a", "again", GARBAGE)
    # Only the manifest's own data is unused.
    run = collect_twice(site, "delete", lambda: [next(client) for _ in range(20)])
    assert run.blobs == 1
    assert ended(client)
    assert site.registry.broken() == ()
    assert "brought back" not in run.note


@pytest.mark.parametrize("fails", [False, True])
def test_requests_wait_until_the_links_that_they_name_are_deleted(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Pages are unlinked one after the other, and an error may end the run meanwhile."""
    site.in_pages(monkeypatch)
    for number in range(6):
        site.registry.upload("a", bytes([number]))
    waiting: list[bool] = []
    claims = count(1)

    def step(action: str, keys: tuple[str, ...]) -> None:
        # The sixth claim is that of the fourth page.
        if action == "claim" and next(claims) == 6 and fails:
            raise StoreUnavailable("Redis is away")
        for place in filter(None, map(parse, keys if action == "delete" else ())):
            request = WriteRequest("asks", place.repository, unpacked(place.digest))
            waiting.append(not site.store.gate.admit(request, ANN).passes)

    site.objects.before_step = step
    with pytest.raises(StoreUnavailable) if fails else nullcontext():
        site.collect_after()
    assert waiting == [True] * (6 if fails else 9)


def test_nothing_is_deleted_until_each_gate_process_knows_that_digests_are_claimed(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate process that does not know of the claims would let requests pass if Redis lost the gate."""
    monkeypatch.setattr(claiming, "_AWARE_S", 0.05)
    monkeypatch.setattr(site.store.gate, "unaware", lambda token: ("web:2",))
    run = site.collect_after()
    assert (run.result, run.unlinked) == ("postponed", 0)
    assert "the gate process on web:2 does not know" in run.message
    assert site.registry.head("a", sha256(BASE))


def test_manifests_are_not_deleted_while_a_put_of_one_is_in_progress(site: OnlineSite) -> None:
    """The PUT passed the gate before the claims, and the registry counts it."""
    site.registry.push("a", "kept", variant(GARBAGE, 1))
    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    client = site.blind("a", "again", GARBAGE)
    # It has just seen the old data, and will not write it again.
    for _ in range(len(GARBAGE.blobs) + 2):
        next(client)

    def go_on(action: str, keys: tuple[str, ...]) -> None:
        if action == "debug":
            next(client, None)

    site.objects.before_step = go_on
    run = site.collect()
    ended(client)
    assert site.registry.broken() == ()
    assert "brought back" not in run.note


def test_manifests_are_not_deleted_after_a_put_that_the_gate_has_just_let_pass(site: OnlineSite) -> None:
    """No PUT was in progress when the claims began, and the registry does not count this PUT yet."""
    site.registry.push("a", "kept", variant(GARBAGE, 1))
    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    site.counts_puts = False
    client, looks = site.blind("a", "again", GARBAGE), count()

    def go_on(action: str, keys: tuple[str, ...]) -> None:
        if action == "debug":
            # First it sees the old data, and will not write it again. It ends before the next look.
            for _ in range(len(GARBAGE.blobs) + 2 if next(looks) == 0 else 20):
                next(client, None)

    site.objects.before_step = go_on
    run = site.collect()
    ended(client)
    assert site.registry.broken() == ()
    assert "brought back" not in run.note


def test_a_put_that_the_gate_let_pass_before_the_claims_is_waited_for(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PUT is on its way from the proxy to the registry, which counts it only after a pause."""
    site.registry.push("a", "kept", variant(GARBAGE, 1))
    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    site.counts_puts = False
    client = site.blind("a", "again", GARBAGE)
    # It has just seen the old data, and will not write it again.
    for _ in range(len(GARBAGE.blobs) + 2):
        next(client)
    monkeypatch.setattr(claiming, "_PASSING_S", 0.2)
    monkeypatch.setattr(claiming, "POLL_S", 0.0123)
    sleep = time.sleep

    def arrive(pause_s: float) -> None:
        if pause_s == claiming.POLL_S:
            ended(client)
        sleep(pause_s)

    monkeypatch.setattr(time, "sleep", arrive)
    run = site.collect()
    ended(client)
    assert site.registry.broken() == ()
    assert "brought back" not in run.note


def test_manifests_are_deleted_between_puts_that_never_pause(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PUTs wait for a deletion, because no moment comes without a PUT."""
    monkeypatch.setattr(online_run, "_BETWEEN_PUTS_S", 0)

    def put(action: str, keys: tuple[str, ...]) -> None:
        if action == "debug":
            site.store.gate.admit(WriteRequest("manifest", "b", by_tag=True), ANN)

    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    site.objects.before_step = put
    assert site.collect().blobs == len(GARBAGE.blobs) + 1


def test_manifests_are_deleted_although_the_look_for_pushes_takes_longer_than_others_may_wait(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hold would otherwise end before the first deletion, and the collection would never end."""
    held: list[tuple[str, ...]] = []
    gate, pushes = site.store.gate, site.store.pushes
    put = pushes.manifests_put

    def slow(since_ms: float = 0.0) -> tuple[str, ...]:
        if gate.state():
            held.append(put(since_ms))
            time.sleep(0.11)
        assert len(held) < 5
        return put(since_ms)

    monkeypatch.setattr(claiming, "_MOMENT_S", 0.1)
    monkeypatch.setattr(pushes, "manifests_put", slow)
    assert site.collect_after().unlinked
    assert site.collect_after(GRACE_S + 1).blobs == len(GARBAGE.blobs) + 1
    assert held


def test_an_image_that_was_pushed_and_deleted_again_has_its_grace_from_then_on(site: OnlineSite) -> None:
    """The image was in use in between, so the notes of an earlier run do not count any more."""
    assert site.collect_after().unlinked
    # Its links are young, so only the time of the journal tells the age of the manifest's own data.
    assert site.registry.push("a", "again", GARBAGE)
    site.collect_after(60)
    site.later(GRACE_S)
    site.registry.delete("a", GARBAGE.digest)
    site.collect_after(1)
    assert site.has(GARBAGE.digest)
    site.collect_after(GRACE_S + 1)
    assert not site.has(GARBAGE.digest)


def test_old_manifests_are_kept_if_the_gate_may_have_forgotten_that_one_was_put_again(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection took longer than gc.youth: the gate remembers no longer, and no inventory has the push."""
    site.registry.push("a", "kept", variant(GARBAGE, 1))

    def push_and_wait() -> None:
        assert ended(site.blind("a", "again", GARBAGE))
        site.later(YOUTH_S + 1)
        # Any other request lets the gate forget.
        site.store.gate.admit(WriteRequest("manifest", "b", by_tag=True), ANN)

    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)
    looks, pending = site.client.claims_blob, [push_and_wait]

    def look(repository: str, digest: str) -> bool:
        if pending:
            pending.pop()()
        return looks(repository, digest)

    # The registry is proved after the inventory.
    monkeypatch.setattr(site.client, "claims_blob", look)
    assert site.collect().blobs == 0
    assert site.registry.broken() == ()


def test_the_next_run_writes_a_link_that_a_late_manifest_needs(site: OnlineSite) -> None:
    """During gc.grace, every mistake is undone by writing links."""
    late = site.blind("a", "late", GARBAGE)
    for _ in range(len(GARBAGE.blobs) + 2):
        next(late)
    assert site.collect_after().unlinked
    assert ended(late)
    assert site.registry.broken()
    site.collect_after(1)
    assert site.registry.broken() == ()
    site.collect_after(2 * GRACE_S)
    assert site.registry.broken() == ()


def test_the_blobs_of_a_part_without_a_revision_are_kept(site: OnlineSite) -> None:
    """The registry's own collector would delete these blobs."""
    site.registry.push("a", "index", INDEX)
    for child in INDEX.children:
        site.registry.delete("a", child.digest)
    for wait_s in (YOUTH_S + 1, GRACE_S + 1, GRACE_S + 1):
        site.collect_after(wait_s)
    assert all(site.has(sha256(blob)) for child in INDEX.children for blob in (*child.blobs, child.manifest))
