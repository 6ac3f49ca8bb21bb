"""Faults planted in the product, to see that the machine finds them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from service.clock import now_us
from service.domain.events import Envelope
from service.domain.oci.manifest import References
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.prune import committing, deleting, image, planning, untag
from service.prune.batch import Batch
from service.prune.recheck import RecheckResult, RecheckState
from service.prune.untag_step import UntagStep
from service.registry.storage import Storage
from service.store.history import History
from service.store.ingest import RecordResult
from service.store.packing import pack_links
from service.store.script import LuaScript, lua_script
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_RESCUE = "spare(r, r.name, e.short)"
_CHECK_AGAIN = "check_at(r, repository, digest .. ' again', now_ms + again_ms, now_ms + again_ms)"


@contextmanager
def _changed_script(name: str, line: str, replacement: str) -> Iterator[None]:
    """Replace a line of one Lua script."""

    def faulty(wanted: str) -> LuaScript:
        script = lua_script(wanted)
        if wanted != name:
            return script
        assert line in script.text, f"{name}.lua is different now: plant the fault anew"
        return replace(script, text=script.text.replace(line, replacement, 1))

    with mock.patch("service.store.connection.lua_script", faulty):
        yield


@contextmanager
def no_rescue() -> Iterator[None]:
    """Plant: a push leaves its digest among the doomed digests."""
    with _changed_script("record", _RESCUE, "false"):
        yield


@contextmanager
def unchecked_restore() -> Iterator[None]:
    """Plant: no check looks for a manifest that a user restored without a tag during its deletion."""
    with _changed_script("restore", _CHECK_AGAIN, ""):
        yield


@contextmanager
def no_recheck() -> Iterator[None]:
    """Plant: a doomed manifest is deleted without a recheck of its tags."""

    def rechecked(
        batch: Batch, doomed: Doomed, verdict: Verdict, *, fetch: bool, storage: Storage | None
    ) -> RecheckResult:
        manifest = batch.registry.client.get(batch.repository, doomed.digest) if fetch else None
        return RecheckResult(RecheckState.UNCHANGED, manifest)

    with mock.patch.object(image, "recheck", rechecked), mock.patch.object(untag, "recheck", rechecked):
        yield


@contextmanager
def no_healing() -> Iterator[None]:
    """Plant: a tag that one of pushprune's deletions removed in a race is not restored."""

    def looked(wiring: Wiring, snapshot: Snapshot, plan: Plan) -> None:
        for member in snapshot.heal:
            wiring.store.deletions.healed(snapshot.repository, member, "", None)

    with mock.patch.object(planning, "heal", looked):
        yield


@contextmanager
def unnoted_tombstone() -> Iterator[None]:
    """Plant: no note is left of a tombstone before it is pushed."""

    def noted(step: UntagStep) -> None:
        step._noted_ms = step._noted_ms or now_us() // 1000

    with mock.patch.object(UntagStep, "note_tombstone", noted):
        yield


@contextmanager
def blind_commit() -> Iterator[None]:
    """Plant: a plan commits although images were pushed since its snapshot."""
    with mock.patch.object(committing, "is_still_valid", return_value=True):
        yield


@contextmanager
def believed_parts() -> Iterator[None]:
    """Plant: the parts that an event names replace the parts read from the manifest of the index."""
    record = History.record

    def believing(self: History, envelope: Envelope) -> RecordResult:
        recorded = record(self, envelope)
        client: Any = self._connection.client
        for event in envelope.events:
            if event.action == "push" and event.children and not event.is_by_pushprune:
                known = f"{event.at_us} {pack_links(References(children=event.children))}"
                client.hset(self._connection.keys.of("links", event.repository), event.digest, known)
        return recorded

    with mock.patch.object(History, "record", believing):
        yield


@contextmanager
def old_policy() -> Iterator[None]:
    """Plant: an image that an earlier policy doomed is deleted although another policy is in force."""
    with contextlib.ExitStack() as stack:
        for module in (deleting, image, untag):
            stack.enter_context(mock.patch.object(module, "is_of_current_policy", return_value=True))
        yield


FAULTS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "no-rescue": no_rescue,
    "no-recheck": no_recheck,
    "no-healing": no_healing,
    "blind-commit": blind_commit,
    "believed-parts": believed_parts,
    "old-policy": old_policy,
    "unchecked-restore": unchecked_restore,
    "unnoted-tombstone": unnoted_tombstone,
}

# What the machine says of each; that something else went wrong as well proves nothing.
SAID_OF: Mapping[str, str] = {
    "no-rescue": r"is deleted although the push of \S+ was heard and keeps it",
    "no-recheck": r"was not pruned at|is kept, and missing|went although nothing said so",
    # Healing also ends what was interrupted: without it, an image remains that the policy deletes.
    "no-healing": r"is kept, and missing|cannot be pulled|the history and the registry differ|should be gone",
    # What it deletes wrongly is restored later, also where the policy would have deleted it by then.
    "blind-commit": r"is deleted although the push of \S+ was heard and keeps it|should be gone|is kept, and missing",
    # Images that are no parts any more are counted, and others beyond the limit are deleted instead.
    "believed-parts": r"cannot be pulled|was heard and keeps it|went although nothing said so|is kept, and missing",
    "old-policy": r"is deleted although the push of \S+ was heard and keeps it|is kept, and missing",
    "unchecked-restore": r"was restored by digest, and is missing",
    # The tombstone is a manifest without a tag that nothing keeps.
    "unnoted-tombstone": r"a tombstone is left|should be gone",
}
