"""The state of a repository in Redis at one moment: everything that a plan is made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.history.lost import lost_tags
from service.domain.retention.state import ManualDeletion, State, UnapprovedTags, Untagged
from service.store.approvals import unpack_hold
from service.store.keys import decoded, long, paired
from service.store.packing import unpack_links, unpack_manual, unpack_revisions, unpack_untagged
from service.store.remembered_tags import ReadTags

# A lease may be +inf, which has no integer value.
_FOR_EVER_MS = 9_000_000_000_000
# Pulls of a repository that are remembered although no known tag needs them.
_MOST_UNCONFIRMED = 10_000


@dataclass(frozen=True, kw_only=True)
class Snapshot(State):
    """The state of a repository at one moment.

    Attributes:
        generation: the version that a commit is checked against.
        compared: the repository was compared since the latest restart.
        compared_us: when it was last compared with the registry, 0 for never.
        silent_ms: for how long the registry has sent no event of any repository, and this repository was not compared.
        unconfirmed: a tag was reported as deleted since the tags last matched those that the registry lists.
        heal: members of heal:R, and the times (ms) at which their check was requested.
        pulled_us: member of pulled:R → its latest pull.
        stale_untagged: obsolete fields of untagged:R; a commit deletes them.
        stale_created: obsolete fields of created:R; a commit deletes them.
        stale_pulled: members of pulled:R that no known tag needs, the oldest pull first.
        policy: digest of the policy in force, "" if no sweep has recorded a policy yet; another text while a changed
            policy is compared with it, so that nothing is planned or deleted meanwhile.
        remembered: the tags of a large repository, with what earlier plans found out about them.
    """

    generation: str
    epoch: str
    compared: bool
    compared_us: int = 0
    silent_ms: int = 0
    unconfirmed: bool = False
    heal: tuple[tuple[str, int], ...] = ()
    pulled_us: Mapping[str, int] = field(default_factory=dict)
    stale_untagged: tuple[str, ...] = ()
    stale_created: tuple[str, ...] = ()
    stale_pulled: tuple[str, ...] = ()
    policy: str = ""
    remembered: ReadTags | None = field(default=None, repr=False, compare=False)

    @property
    def restarts(self) -> str:
        """Return the number of registry starts that were known when the snapshot was read."""
        return self.epoch.rpartition(":")[2]

    @property
    def doubtful_tags(self) -> tuple[str, ...]:
        """Return the tags that may point elsewhere, or may have been deleted: only a notification has said so."""
        unproved = (tag.name for tag in self.tags if not tag.proved)
        return tuple(name for name in unproved if self.unconfirmed or name in self.revisions)

    @property
    def is_confirmed(self) -> bool:
        """True if no event that may be forged hides a tag from a plan."""
        return not (self.unconfirmed or self.doubtful_tags)

    def obsolete_pulls(self, *, is_confirmed: bool) -> tuple[str, ...]:
        """Return the members of pulled:R that a commit deletes.

        Args:
            is_confirmed: the registry has confirmed all tags. Otherwise a forged event may hide a tag that needs them.
        """
        obsolete = self.stale_pulled if is_confirmed else self.stale_pulled[:-_MOST_UNCONFIRMED]
        # Limited, so that one commit stays small; later commits delete the rest.
        return obsolete[:1000]


def decoded_answer(answer: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of the answer of snapshot.lua. The values of live:R are still bytes."""
    fields = {name.decode(): value for name, value in paired(answer).items()}
    flat = fields.pop("live")
    live = dict(zip(map(bytes.decode, flat[::2]), flat[1::2], strict=True))
    return {name: decoded(value) for name, value in fields.items()} | {"live": live}


def unpack_snapshot(
    repository: str, answer: Mapping[str, Any], read: ReadTags, late_us: int = 0, *, is_remembered: bool = False
) -> Snapshot:
    """Return the snapshot behind the script's answer. read: its tags, unpacked; late_us: as in History."""
    pulled, untagged, created = read.pulled, paired(answer["untagged"]), read.created
    compared_epoch, _, compared_us = answer["compared"].partition(" ")
    epoch = f"{answer['run_id']}:{answer['restarts']}"
    links = {digest: unpack_links(text) for digest, text in paired(answer["links"]).items()}
    tags = tuple(read.tags.values())
    hold = unpack_hold(repository, answer["hold"]) if answer["hold"] else None
    # A set of 100,000 digests takes a third of the time of the whole snapshot, and most repositories do without.
    is_compared = untagged or created or any(member.startswith("@") for member in pulled)
    tagged = {tag.digest for tag in tags} if is_compared else set[str]()
    children = {child for references in links.values() if references for child in references.children}
    manifests = {field: unpack_untagged(field, text) for field, text in untagged.items()}
    named = tagged | children
    return Snapshot(
        repository=repository,
        generation=answer["generation"],
        epoch=epoch,
        compared=compared_epoch == epoch,
        compared_us=int(compared_us or 0),
        reports_until_us=int(compared_us or 0) + late_us,
        silent_ms=int(answer["silent_ms"]),
        hides_tags=bool(answer["hides_tags"]),
        unconfirmed=bool(answer["unconfirmed"]),
        planned_us=int(answer["planned"]) if answer["planned"] else None,
        tags=tags,
        links=links,
        approved=frozenset(answer["approvals"]),
        held=frozenset(hold.digests if hold else ()),
        held_under=hold.policy if hold else "",
        heal=tuple((member, int(float(check_ms))) for member, check_ms in paired(answer["heal"]).items()),
        pulled_us={member: int(float(at_us)) for member, at_us in pulled.items()},
        untagged=tuple(entry for entry in _latest(manifests.values()) if entry.digest not in tagged),
        revisions={tag: unpack_revisions(text) for tag, text in paired(answer["revisions"]).items()},
        leased=_leases(paired(answer["leased"])),
        restored=_leases(paired(answer["restored"])),
        deleted=frozenset(long(member[1:]) for member in answer["voided"] if member.startswith("@")),
        manual_deletions=_manual_deletions(paired(answer["manual"])),
        manual_deleted=frozenset(long(member) for member in answer["manual_deleted"]),
        unapproved=_unapproved(answer["unapproved"]),
        policy=answer["policy"] or "",
        remembered=read if is_remembered else None,
        lost=lost_tags(repository, answer["troubles"]),
        stale_untagged=tuple(field for field, manifest in manifests.items() if manifest.digest in named),
        stale_created=tuple(field for field in created if long(field) not in tagged),
        stale_pulled=tuple(
            member
            for member in pulled
            if (long(member[1:]) not in tagged if member.startswith("@") else member not in read.tags)
        ),
    )


def _manual_deletions(fields: Mapping[str, str]) -> Mapping[str, ManualDeletion]:
    """Return the open deletion requests by tag name or by manifest digest, without the rejected ones."""
    requests = {name: unpack_manual(text) for name, text in fields.items()}
    return {
        request.digest if "@" in name else name: request for name, request in requests.items() if not request.rejected
    }


def _leases(packed: Mapping[str, str]) -> Mapping[str, int]:
    return {digest: int(min(float(until_ms), _FOR_EVER_MS)) * 1000 for digest, until_ms in packed.items()}


def _unapproved(text: str | None) -> UnapprovedTags | None:
    if not text:
        return None
    since_us, kind, *more = text.split(" ")
    if kind == "first":
        return UnapprovedTags(int(since_us), settled_under="".join(more))
    removed, of, *first = map(int, more)
    return UnapprovedTags(int(since_us), removed, of, also_first=bool(first))


def _latest(manifests: Iterable[Untagged]) -> Iterable[Untagged]:
    """Return the untagged manifests, each once.

    A part of an index may be recorded by its whole digest and by its short one: the later record counts.
    """
    latest: dict[str, Untagged] = {}
    for manifest in manifests:
        before = latest.get(manifest.digest)
        if before is None or before.since_us < manifest.since_us:
            latest[manifest.digest] = manifest
    return latest.values()
