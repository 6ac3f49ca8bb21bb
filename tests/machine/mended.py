"""Bugs that the machine found and that are reported: mended here until the product is, so that it can look for more."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from service.domain.plan import Plan
from service.domain.state import Tag
from service.store.history import History, name_of
from service.store.snapshot import Snapshot
from service.wiring import Wiring
from workers import enforcement, healing


@contextmanager
def known_bugs() -> Iterator[None]:
    """All of them at once."""
    with ExitStack() as stack:
        stack.enter_context(_children_of_a_deleted_index())
        stack.enter_context(_a_known_time_forgotten())
        stack.enter_context(_a_loss_taken_for_a_disappearance())
        stack.enter_context(_a_look_spent_on_a_plan_that_never_was())
        yield


@contextmanager
def _children_of_a_deleted_index() -> Iterator[None]:
    """`heal:R` of an index that we deleted meanwhile puts its children back, for nobody and for ever."""
    heal = healing._heal

    def mended(wiring: Wiring, repository: str, name: str, digest: str) -> str | None:
        if ":" in name and wiring.client.get(repository, digest) is None:
            return None
        return heal(wiring, repository, name, digest)

    with mock.patch.object(healing, "_heal", mended):
        yield


@contextmanager
def _a_known_time_forgotten() -> Iterator[None]:
    """A doomed tag that was moved, is adopted as if nobody had seen its push: it does not count any more."""
    adopt = History.adopt

    def mended(history: History, snapshot: Snapshot, found: Iterable[Tag] = (), *args: Any, **how: Any) -> int:
        known = {(tag.name, tag.digest) for tag in snapshot.tags}
        return adopt(history, snapshot, [tag for tag in found if (tag.name, tag.digest) not in known], *args, **how)

    with mock.patch.object(History, "adopt", mended):
        yield


@contextmanager
def _a_look_spent_on_a_plan_that_never_was() -> Iterator[None]:
    """What only a provisional plan dooms is struck off `heal:R`; the committed plan keeps it, and it is lost."""
    heal = healing.heal

    def mended(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> None:
        committed = {doomed.digest for doomed in wiring.history.doomed(snapshot.repository)} if snapshot.heal else set()
        provisional = {doomed.digest for doomed in plan.doomed} - committed
        spared = {tag.name for tag in snapshot.tags if tag.digest in provisional} | provisional
        heal(wiring, replace(snapshot, heal=tuple(one for one in snapshot.heal if name_of(one[0]) not in spared)), plan)

    with mock.patch.object(enforcement, "heal", mended):
        yield


@contextmanager
def _a_loss_taken_for_a_disappearance() -> Iterator[None]:
    """A comparison drops a tag that waits in `heal:R` because a delete of ours has just taken it along."""
    adopt = History.adopt

    def mended(
        history: History,
        snapshot: Snapshot,
        found: Iterable[Tag] = (),
        vanished: Iterable[str] = (),
        *args: Any,
        **how: Any,
    ) -> int:
        client: Any = history._connection.client
        pending = {name_of(member) for member in client.zrange(history._keys.heal(snapshot.repository), 0, -1)}
        pending = set() if how.get("keep_plan") else pending  # what is doomed is not healed
        return adopt(history, snapshot, found, [tag for tag in vanished if tag not in pending], *args, **how)

    with mock.patch.object(History, "adopt", mended):
        yield
