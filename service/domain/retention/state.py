"""The state of one repository at one moment: its tags, its manifests without a tag, and their references."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from service.domain.oci.manifest import References

REFERRER_PREFIX = "sha256-"
_REFERRER_TAG = re.compile(REFERRER_PREFIX + r"([0-9a-f]{64})(?:\.[a-z0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tag:
    """A live tag. Times are the registry's, in µs since the epoch.

    A verdict on a manifest without a tag has a Tag with the name "".

    Attributes:
        pushed_us: the last push; None if it is not known.
        size_bytes: size of the image: its config and layers, of an index those of its parts; 0 if it is not known.
        pulled_us: the last pull, by tag or by digest; None if none was reported.
        created_us: the creation time in the image's config; 0 if the config has none, None if it was not read yet.
        unannounced: True if a comparison found the tag although no push of it was reported, in a repository that was
            compared before. Then pushed_us is the time by which it must have been pushed.
        found: True if the first comparison of the repository found the tag, and no push of it was reported since.
        proved: True if a worker has read the manifest at the registry, so that an index is known to be an index.
    """

    name: str
    digest: str
    pushed_us: int | None
    size_bytes: int = 0
    actor: str = ""
    pulled_us: int | None = None
    created_us: int | None = None
    unannounced: bool = False
    found: bool = False
    proved: bool = False

    @property
    def is_reported(self) -> bool:
        """True if the push of the tag was reported, or its link in the storage proves when it was."""
        return not (self.unannounced or self.found)

    @property
    def used_us(self) -> int:
        """The last use. A push counts as a pull. 0 if neither is known."""
        return max(self.pulled_us or 0, self.pushed_us or 0)

    def called(self, repository: str) -> str:
        """Return the full name: shop/api:v1, or shop/api@sha256:… for a manifest without a tag."""
        return f"{repository}:{self.name}" if self.name else f"{repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Untagged:
    """A manifest that no tag points at.

    Attributes:
        since_us: when it lost its last tag, or was pushed without a tag.
        tag: the last tag of the manifest, or of the deleted index that it was part of; "" if there was none.
        index: the digest of the deleted index that it was part of; "" if there is none.
        by_pushprune: True if pushprune deleted its last tag.
        started: True if pushprune was deleting its last tag when a user moved or deleted that tag.
    """

    digest: str
    since_us: int
    tag: str = ""
    index: str = ""
    by_pushprune: bool = False
    started: bool = False


@dataclass(frozen=True, slots=True)
class ManualDeletion:
    """A manual deletion: the request of a user to delete a tag or a manifest.

    Attributes:
        digest: the digest that the tag pointed at when the user asked, or the manifest.
        by: the user.
        at_us: the time of the request.
        force: True to delete the tag even if the policy protects it or has `dry_run`.
        rejected: why the request was rejected; "" while it waits.
    """

    digest: str
    by: str
    at_us: int
    force: bool = False
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class UnapprovedTags:
    """Tags that existed at one moment, and that are deleted only after an operator has approved a plan.

    Attributes:
        since_us: the moment.
        removed: tags that a changed policy would delete in all repositories; 0 for the first clean-up of this one.
        of: the tags of all repositories at that moment; 0 for the first clean-up.
        settled_under: the fingerprint of the policy that deleted none of them at the first clean-up: it has been in
            force since, and needs no approval. "" for none.
        also_first: True if a policy changed while a first clean-up was settled, and not approved.
    """

    since_us: int
    removed: int = 0
    of: int = 0
    settled_under: str = ""
    also_first: bool = False

    @property
    def is_first(self) -> bool:
        """True for the first clean-up of a repository that existed before pushprune."""
        return self.of == 0

    def covers(self, tag: Tag) -> bool:
        """Return True if the tag existed before: found by the first comparison, or pushed before the policy changed."""
        # A comparison can find a tag before the event of its push arrives. The event then resets `found`.
        if self.is_first:
            return tag.found
        return tag.pushed_us is None or tag.pushed_us <= self.since_us


@dataclass(frozen=True, kw_only=True)
class State:
    """The state of one repository that a plan is made from.

    Attributes:
        links: digest of each known index and referrer → its references; None for an index that was not read yet.
        untagged: the manifests without a tag.
        revisions: tag → the digests that it pointed at before, the newest first.
        leased: digest → end (µs) of its lease, by which a user declares it to be in use.
        restored: digest → end (µs) of the time for which it is kept because a user restored it.
        approved: digests whose deletion an operator has approved. They do not count towards a hold.
        held: the digests of a plan that waits for approval.
        held_under: the fingerprint of the policy that made that plan.
        deleted: recently deleted digests, by pushprune or by other clients, as far as it was reported.
        manual_deletions: tag or digest of a manifest → its manual deletion.
        manual_deleted: digests that were deleted, or lost their last tag, by a manual deletion. Their parts and
            referrers are deleted even if the policy keeps them.
        unapproved: tags that need an approval before the policy may delete them; None if there are none.
        lost: tags that a deletion by pushprune removed by mistake, and that are not restored yet.
        hides_tags: True if the registry may leave tags out of its listings. Then a tag that is not listed may point at
            any manifest.
        reports_until_us: the time (µs) until which the event of an unreported push may still arrive. Such a tag is kept
            until then.
        planned_us: the newest push (µs) that the plan before decided about; None if there was no plan yet.
    """

    repository: str
    tags: tuple[Tag, ...] = ()
    links: Mapping[str, References | None] = field(default_factory=dict)
    untagged: tuple[Untagged, ...] = ()
    revisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leased: Mapping[str, int] = field(default_factory=dict)
    restored: Mapping[str, int] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    held_under: str = ""
    deleted: frozenset[str] = frozenset()
    manual_deletions: Mapping[str, ManualDeletion] = field(default_factory=dict)
    manual_deleted: frozenset[str] = frozenset()
    unapproved: UnapprovedTags | None = None
    lost: frozenset[str] = frozenset()
    hides_tags: bool = False
    reports_until_us: int = 0
    planned_us: int | None = None

    def closure(self, digest: str) -> tuple[str, ...]:
        """Return the digest and all digests that it is known to list, at any depth, each digest once."""
        digests = {digest: None}
        unread = [digest]
        while unread:
            known = self.links.get(unread.pop())
            # A forged event can say of two indexes that each lists the other.
            new = [child for child in known.children if child not in digests] if known else []
            digests |= dict.fromkeys(new)
            unread += new
        return tuple(digests)

    @property
    def newest_us(self) -> int:
        """The time (µs) of the newest push whose time is known; 0 for none."""
        return max((tag.pushed_us or 0 for tag in self.tags if not tag.unannounced), default=0)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """The subjects of the referrers among the tags and the known manifests."""
        referrers = (tag for tag in self.tags if tag.name.startswith(REFERRER_PREFIX))
        of_tags = {subject_of(tag.name, self.links.get(tag.digest)) for tag in referrers}
        of_manifests = {known.subject for known in self.links.values() if known}
        return frozenset(digest for digest in of_tags | of_manifests if digest is not None)

    def known_manifests(self) -> Mapping[str, str]:
        """Return every manifest that the history knows of, as digest → its name.

        These are manifests with a tag, with a former tag or without a tag, parts of indexes, referrers and their
        subjects. A collector marks every manifest that exists, tagged or not. So a manifest that exists and is not
        marked would be broken by the collection. Only the registry knows which of these manifests still exist.
        """
        digests = {untagged.digest for untagged in self.untagged}
        for revisions in self.revisions.values():
            digests.update(revisions)
        for digest, known in self.links.items():
            digests.add(digest)
            if known:
                digests.update(known.children, [known.subject] if known.subject else [])
        named = {digest: f"{self.repository}@{digest}" for digest in digests}
        return named | {tag.digest: f"{tag.called(self.repository)} ({tag.digest})" for tag in self.tags}


def is_referrer_tag(name: str) -> bool:
    """True for the tag of a referrer: cosign's .sig, .att and .sbom, and the OCI fallback `sha256-<hex>`."""
    return _REFERRER_TAG.fullmatch(name) is not None


def subject_of(name: str, known: References | None) -> str | None:
    """Return the digest of the image that a referrer is about; None if the manifest is no referrer.

    Args:
        name: the tag of the manifest; "" if it has none.
        known: the references of the manifest; None if they are not known.
    """
    if known and known.subject:
        return known.subject
    match = _REFERRER_TAG.fullmatch(name)
    return f"sha256:{match[1]}" if match else None
