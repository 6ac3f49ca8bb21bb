"""The state of a repository in Redis at one moment: everything that a plan is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.domain.history.lost import lost_tags
from service.domain.retention.state import ManualDeletion, State, Tag, UnapprovedTags, Untagged
from service.store.approvals import unpack_hold
from service.store.keys import long, paired, short
from service.store.packing import unpack_asked, unpack_links, unpack_live

# A lease may be +inf, which has no integer value.
_FOR_EVER_MS = 9_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Snapshot(State):
    """The state of a repository at one moment.

    Attributes:
        generation: the version that a commit is checked against.
        compared: the repository was compared since the latest restart.
        compared_us: when it was last compared with the registry, 0 for never.
        compared_restarts: the number of registry starts that were known then.
        silent_ms: for how long the registry has sent no event of any repository, and this repository was not compared.
        unconfirmed: a tag was reported as deleted since the tags last matched those that the registry lists.
        heal: members of heal:R, and the times (ms) at which their check was requested.
        pulled_us: the latest pull in the snapshot, 0 for none.
        stale_untagged: obsolete fields of untagged:R; a commit deletes them.
        stale_created: obsolete fields of created:R; a commit deletes them.
        stale_pulled: obsolete members of pulled:R; a commit deletes them.
        policy: digest of the policy last put in force, "" if no sweep has recorded a policy yet.
    """

    generation: str
    epoch: str
    compared: bool
    compared_us: int = 0
    compared_restarts: str = ""
    silent_ms: int = 0
    unconfirmed: bool = False
    heal: tuple[tuple[str, int], ...] = ()
    pulled_us: int = 0
    stale_untagged: tuple[str, ...] = ()
    stale_created: tuple[str, ...] = ()
    stale_pulled: tuple[str, ...] = ()
    policy: str = ""

    @property
    def restarts(self) -> str:
        """Return the number of registry starts that were known when the snapshot was read."""
        return self.epoch.rpartition(":")[2]

    @property
    def was_restarted(self) -> bool:
        """Return True if the registry was restarted since this repository was compared, or since its first event."""
        if not self.compared_us:
            return self.restarts not in ("", "0", "1")
        return self.restarts != self.compared_restarts


def unpack_snapshot(repository: str, run_id: str, answer: Sequence[Any], late_us: int = 0) -> Snapshot:
    """Return the snapshot behind the script's answer. run_id: of the Redis that answered; late_us: as in History."""
    generation, compared, restarts, times, live, links, approved, heal = answer[:8]
    pulled, untagged, revisions, created, leased = (paired(flat) for flat in answer[8:13])
    epoch = f"{run_id}:{restarts}"
    known = {digest: unpack_links(text) for digest, text in paired(links).items()}
    tags = _tags(paired(times), paired(live), pulled, created)
    held = unpack_hold(repository, answer[14]) if answer[14] else None
    standing = {tag.digest for tag in tags}
    children = {child for references in known.values() if references for child in references.children}
    return Snapshot(
        repository=repository,
        generation=generation,
        epoch=epoch,
        compared=compared.partition(" ")[0] == epoch,
        compared_us=(compared_us := int(compared.partition(" ")[2] or 0)),
        compared_restarts=compared.partition(" ")[0].rpartition(":")[2],
        told_us=compared_us + late_us,
        silent_ms=int(answer[17]),
        hides_tags=bool(answer[21]),
        unconfirmed=bool(answer[23]),
        planned_us=int(answer[24]) if answer[24] else None,
        tags=tags,
        links=known,
        approved=frozenset(approved),
        held=frozenset(held.digests if held else ()),
        held_under=held.policy if held else "",
        heal=tuple((member, int(float(asked))) for member, asked in paired(heal).items()),
        pulled_us=max((int(float(at_us)) for at_us in pulled.values()), default=0),
        untagged=tuple(entry for entry in _untagged(untagged) if entry.digest not in standing),
        revisions={tag: _revisions(text) for tag, text in revisions.items()},
        leased=_leases(leased),
        restored=_leases(paired(answer[22])),
        deleted=frozenset(long(member[1:]) for member in answer[13] if member.startswith("@")),
        manual_deletions=_manual_deletions(paired(answer[15])),
        manual_deleted=frozenset(long(member) for member in answer[16]),
        unapproved=_unapproved(answer[18]),
        policy=answer[19] or "",
        lost=lost_tags(repository, answer[20]),
        stale_untagged=tuple(field for field in untagged if long(field) in standing | children),
        stale_created=tuple(field for field in created if long(field) not in standing),
        # Limited, so that one commit stays small; later commits delete the rest.
        stale_pulled=tuple(key for key in pulled if key.startswith("@") and long(key[1:]) not in standing)[:1000],
    )


def _tags(
    times: Mapping[str, str], live: Mapping[str, str], pulled: Mapping[str, str], created: Mapping[str, str]
) -> tuple[Tag, ...]:
    tags = []
    for name, score in times.items():
        tag = unpack_live(name, live[name])
        digest = short(tag.digest)
        # A pull by digest counts for every tag that points at the digest.
        used_us = max(int(float(pulled.get(name, 0))), int(float(pulled.get(f"@{digest}", 0))))
        created_us = int(created[digest]) if digest in created else None
        # A score of 0 means that no push was seen.
        pushed_us = int(float(score)) or None
        tags.append(replace(tag, pushed_us=pushed_us, pulled_us=used_us or None, created_us=created_us))
    return tuple(tags)


def _manual_deletions(fields: Mapping[str, str]) -> Mapping[str, ManualDeletion]:
    """Return the open deletion requests by tag name or by manifest digest, without the rejected ones."""
    requests = {name: unpack_asked(text) for name, text in fields.items()}
    return {
        request.digest if "@" in name else name: request for name, request in requests.items() if not request.rejected
    }


def _leases(packed: Mapping[str, str]) -> Mapping[str, int]:
    """Return digest → until when (µs)."""
    return {digest: int(min(float(until_ms), _FOR_EVER_MS)) * 1000 for digest, until_ms in packed.items()}


def _unapproved(text: str | None) -> UnapprovedTags | None:
    if not text:
        return None
    since_us, _, *counts = text.split(" ")
    return UnapprovedTags(int(since_us), *map(int, counts))


def _revisions(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(long(word.partition(":")[2]) for word in text.split()))


def _untagged(fields: Mapping[str, str]) -> tuple[Untagged, ...]:
    """Return the untagged manifests.

    A part of an index may be recorded by its whole digest and by its short one: the later record counts.
    """
    latest: dict[str, Untagged] = {}
    for digest, text in fields.items():
        since, tag, *marks = text.split(" ")
        index = long(marks[1]) if marks[:1] == ["part"] and len(marks) == 2 else ""
        taken, begun = marks == ["untagged"], marks == ["started"]
        manifest = Untagged(long(digest), int(since), tag, index=index, taken=taken, begun=begun)
        before = latest.get(short(manifest.digest))
        if before is None or before.since_us < manifest.since_us:
            latest[short(manifest.digest)] = manifest
    return tuple(latest.values())
