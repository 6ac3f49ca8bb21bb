"""Pushes that meet the deletion of the same tag, on a real registry, and their outcome."""

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock

import pytest

from service.domain.oci.names import is_digest
from tests.fakes.crossing import Write
from tests.fakes.images import Image, make_image, variant
from tests.fakes.pusher import Pusher
from tests.live.conftest import LiveSystem

SHOP = "shop/api"


ROUNDS, PAIRS = 100, 25


PATIENCE_S = 300.0


BASE = make_image("race", layers=0)


LATEST_S = 0.005  # how long after our write has set out the push of the user may follow it


HISTORY = {"repository_entries": 20_000}


def push_until_taken(pusher: Pusher, tag: str, image: Image) -> int:
    """The number of refusals: 2.8.3 answers 500 to a PUT that meets a DELETE of the same tag. A user pushes again."""
    for refused in range(50):
        try:
            pusher.put(SHOP, tag, image.media_type, image.manifest)
        except AssertionError as error:
            if ": 500 " not in str(error):
                raise
        else:
            return refused
    pytest.fail("the registry does not take the push")


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push of a tag that is being deleted, and the write of ours that it was to meet; None: it just went on."""

    tag: str
    image: Image
    write: Write | None
    began_s: float
    ended_s: float
    refused: int

    @property
    def overlaps(self) -> bool:
        return self.write is not None and self.began_s < self.write.ended_s and self.write.began_s < self.ended_s


class Repushes:
    """A push of a tag to another digest, at the moment at which the write that removes the tag is about to be sent.

    Of the two tags in a pair one is to go at any time: pushed again it stays, and the other one is to go. Where a
    tombstone is put under a tag before the DELETE, one push meets the PUT and the next one the DELETE.
    """

    def __init__(self, url: str, standing: dict[str, str]) -> None:
        """standing: tag → digest of its first push."""
        self._url = url
        self._stood = {digest: {tag} for tag, digest in standing.items()}  # digest → tags that were put there
        self._left = {pair_of(tag): ROUNDS // PAIRS for tag in standing}
        self._turns = {pair: Lock() for pair in self._left}  # of two pushes at once it is not known which is the last
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="user")
        self._begun: list[Future[Pushed]] = []
        self._meeting: list[Event] = []
        self._extra = 0

    def meet(self, write: Write) -> None:
        with self._lock:
            tags = self._stood.pop(write.reference, set()) if is_digest(write.reference) else {write.reference}
            if write.method == "PUT" and not is_digest(write.reference):
                self._stood.setdefault(write.digest, set()).add(write.reference)
            for tag in sorted(tags):
                pair = pair_of(tag)
                left = self._left[pair]
                if left and (write.method == "DELETE" or left % 2):
                    self._left[pair] -= 1
                    self._meeting.append(Event())
                    self._begun.append(self._pool.submit(self._push, tag, left, write, self._meeting[-1]))

    def wait_until_begun(self) -> None:
        """Wait until each push that is to meet a write has begun."""
        with self._lock:
            meeting = tuple(self._meeting)
        assert all(begins.wait(PATIENCE_S) for begins in meeting)

    def all_ended(self, live: set[str]) -> bool:
        """live: the tags that exist when nothing is left to do. A pair that ended too early is run again.

        It does so where a tag was lost to the registry's race, and was to go by the time that it would be healed.
        """
        with self._lock:
            if not all(future.done() for future in self._begun):
                return False
            for pair in (pair for pair, left in self._left.items() if left):
                for other in {f"{pair}-a", f"{pair}-b"} - live:
                    self._extra += 1
                    self._begun.append(self._pool.submit(self._push, other, -self._extra, None, Event()))
            return not any(self._left.values())

    def pushed(self) -> tuple[Pushed, ...]:
        """Return the pushes in the order in which they ended."""
        return tuple(sorted((future.result() for future in self._begun), key=lambda item: item.ended_s))

    def _push(self, tag: str, left: int, write: Write | None, begins: Event) -> Pushed:
        image = variant(BASE, f"{tag}, {left} left")
        with self._lock:
            self._stood[image.digest] = {tag}
        time.sleep(random.Random(image.digest).uniform(0, LATEST_S))
        with self._turns[pair_of(tag)], Pusher(self._url) as pusher:
            began_s = time.perf_counter()
            begins.set()
            refused = push_until_taken(pusher, tag, image)
            return Pushed(tag, image, write, began_s, time.perf_counter(), refused)


def pair_of(tag: str) -> str:
    return tag.partition("-")[0]


def hurried(system: LiveSystem) -> bool:
    """End a back-off: a DELETE that meets a push may be answered 500, and 200 rounds of that would take an hour."""
    outbox, dispatch = system.store.outbox, system.wiring.dispatch
    if outbox.backing_off("doomed", SHOP):
        outbox.succeeded("doomed", SHOP)
        dispatch.delete(SHOP)
    if outbox.backing_off("due", SHOP):
        outbox.succeeded("due", SHOP)
        dispatch.enforce(SHOP)
    return True


def no_push_is_unheard(system: LiveSystem, pushed: list[tuple[str, str]]) -> None:
    """Check that the history has every (tag, digest) that the registry accepted."""
    entries = system.store.history.entries(SHOP, HISTORY["repository_entries"])
    assert set(pushed) <= {(entry.tag, entry.digest) for entry in entries if entry.action == "push"}


def said(rounds: list[Pushed]) -> str:
    """Print the overlaps, for a run with -rP."""
    overlapping = sum(item.overlaps for item in rounds)
    pushes = sum(item.refused > 0 for item in rounds)
    ours = sum(item.write is not None and item.write.status == 500 for item in rounds)
    return f"{overlapping} of {len(rounds)} met their write; answered 500: {pushes} of them, {ours} of the writes"


def healed(system: LiveSystem) -> int:
    entries = system.store.history.entries(SHOP, HISTORY["repository_entries"])
    return sum(entry.action == "healed" for entry in entries)
