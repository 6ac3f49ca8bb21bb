"""What is known of one repository at one moment: its tags, the manifests without one, and what holds what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from service.domain.oci.manifest import References

_REFERRER_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.[a-z0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tag:
    """A live tag. Times are the registry's, in µs since the epoch.

    pushed_us: its last push; None when nobody saw it. pulled_us: its last pull, by tag or by digest; None when none was
    seen. created_us: what the image's config says; 0 when it says nothing, None when nobody has looked.
    size_bytes: of the image, as far as the registry told. A verdict on a manifest without a tag has one with name "".
    sighted: it turned up unannounced after somebody had looked, so that pushed_us is when it was seen at the latest.
    found: the first comparison of its repository found it, and no push of it was heard since.
    proved: a worker has seen at the registry the manifest it points at, so that an index is known to be an index.
    """

    name: str
    digest: str
    pushed_us: int | None
    size_bytes: int = 0
    actor: str = ""
    pulled_us: int | None = None
    created_us: int | None = None
    sighted: bool = False
    found: bool = False
    proved: bool = False

    @property
    def used_us(self) -> int:
        """Its last use: a push counts as a pull; 0 when neither was seen."""
        return max(self.pulled_us or 0, self.pushed_us or 0)

    def called(self, repository: str) -> str:
        """As people name it: shop/api:v1, or shop/api@sha256:… for a manifest without a tag."""
        return f"{repository}:{self.name}" if self.name else f"{repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Untagged:
    """A manifest that no tag points at. since_us: when it lost its last one, or was pushed without any.

    tag: the one it lost last, or the one that the index had which it was part of; "" when there was none. index: the
    digest of that index, which was seen to go; "" where it was part of none. taken: the policy took its last tag off;
    begun: it was about to, when somebody pushed that tag elsewhere or deleted it.
    """

    digest: str
    since_us: int
    tag: str = ""
    index: str = ""
    taken: bool = False
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """That somebody wants a tag gone, or a manifest: where it stood then, by whom, and when (µs).

    force: although the policy protects it, or only shows what would go. refused: why nobody follows it; "" while it
    waits.
    """

    digest: str
    by: str
    at_us: int
    force: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Unapproved:
    """Tags that were there at one moment, and that are deleted only once somebody has approved a plan.

    Attributes:
        since_us: the moment.
        removed: tags that a changed policy would delete in all repositories; 0 for the first clean-up of this one.
        of: the tags of all repositories at that moment; 0 for the first clean-up.
    """

    since_us: int
    removed: int = 0
    of: int = 0

    @property
    def is_first(self) -> bool:
        """True for the first clean-up of a repository that was there before pushprune."""
        return self.of == 0

    def covers(self, tag: Tag) -> bool:
        """Return True if the tag was there before: found by the first comparison, or pushed before the policy changed.

        A tag that a comparison found while the event of its push was on its way is no longer `found` once that came.
        """
        if self.is_first:
            return tag.found
        return tag.pushed_us is None or tag.pushed_us <= self.since_us


@dataclass(frozen=True, kw_only=True)
class State:
    """All that a plan is made from.

    links: what is known of each index and referrer by digest; None = an index nobody has looked into yet.
    revisions: the overwritten digests of each moving tag, the newest first. leased: digest → until when (µs) somebody
    says it is in use; restored: until when it is kept because a user restored it.
    approved: digests whose deletion somebody has approved; they do not count towards a hold.
    held: the digests of a plan that waits for approval; held_under: the fingerprint of the policy that made it.
    deleted: digests that were deleted lately, by us or by somebody else, as far as was heard.
    asked: what is to be deleted by hand, by the name of a tag or the digest of a manifest. by_hand: digests that lost
    their last tag that way, or went; what follows them goes whatever the policy says.
    unapproved: tags that need an approval before the policy may delete them; None when there are none. told_us: until
    when an event may still come for a tag whose push was not heard: it is kept so long.
    lost: tags that a delete of ours took along, and that are not restored (yet).
    hides_tags: the registry may leave tags out of its listings: a tag that nobody sees may point at any manifest.
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
    asked: Mapping[str, Asked] = field(default_factory=dict)
    by_hand: frozenset[str] = frozenset()
    unapproved: Unapproved | None = None
    lost: frozenset[str] = frozenset()
    hides_tags: bool = False
    told_us: int = 0

    def closure(self, digest: str) -> tuple[str, ...]:
        """The manifest and everything that it is known to list, at any depth, each digest once."""
        found = {digest: None}
        unread = [digest]
        while unread:
            known = self.links.get(unread.pop())
            # A forged event can say of two indexes that each lists the other.
            new = [child for child in known.children if child not in found] if known else []
            found |= dict.fromkeys(new)
            unread += new
        return tuple(found)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """The digests that referrers among the tags and the known manifests are about."""
        found = {subject_of(tag.name, self.links.get(tag.digest)) for tag in self.tags}
        return frozenset(found.union(known.subject for known in self.links.values() if known) - {None})  # type: ignore[arg-type]


def is_referrer_tag(name: str) -> bool:
    """Whether the tag belongs to another image: cosign's .sig, .att and .sbom, and OCI's fallback `sha256-<hex>`."""
    return _REFERRER_TAG.fullmatch(name) is not None


def subject_of(name: str, known: References | None) -> str | None:
    """The digest of the image that a referrer is about, from its manifest or its tag; None for what is no referrer.

    name: of its tag, "" where it has none.
    """
    if known and known.subject:
        return known.subject
    found = _REFERRER_TAG.fullmatch(name)
    return f"sha256:{found[1]}" if found else None
