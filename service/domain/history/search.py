"""A search over everything that is recorded: the query, and its matches."""

import re
from dataclasses import dataclass
from typing import Literal

from service.domain.oci.names import digest_prefix

LONGEST_QUERY = 256
# In the order in which equally good matches are listed.
TagState = Literal["live", "deleted", "earlier", "untagged", "part"]
TAG_STATES: tuple[TagState, ...] = ("live", "deleted", "earlier", "untagged", "part")
# The address of a registry before a name, as Docker reads it: a first part with a dot or a colon.
_HOST = re.compile(r"(?:https?://)?(?:localhost|[^/\s]*[.:][^/\s]*)/(?=.)")


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    """The meaning of a text in the search box.

    Attributes:
        repository: a part of the name of a repository, in lower case; "" matches all.
        text: a part of a tag or of a user, in lower case; "" if none is searched.
        digest: the first characters of a digest; "" if none is searched.
        is_reference: True if the text names a tag or a digest of a repository, such as shop/api:v1.
    """

    repository: str
    text: str
    digest: str
    is_reference: bool = False

    def matches(self, tag: str, digest: str) -> bool:
        """True if the text is a part of the tag, or if the digest begins so."""
        is_named = bool(self.text) and self.text in tag.lower()
        return is_named or (bool(self.digest) and digest.startswith(self.digest))


@dataclass(frozen=True, slots=True)
class TagMatch:
    """A tag or a manifest that a search found.

    Attributes:
        tag: "" for a manifest without a tag.
        state: live; deleted; earlier: the tag pointed at this digest before; untagged: a manifest without a tag; part:
            a part of the index `digest`.
        at_us: the last push of a live tag or of an earlier image, the deletion of a deleted tag; None if not known.
        restorable: True if the deletion can still be undone.
    """

    repository: str
    tag: str
    digest: str
    state: TagState
    at_us: int | None = None
    actor: str = ""
    reason: str = ""
    restorable: bool = False


@dataclass(frozen=True, slots=True)
class UserMatch:
    """A user that a search found. tags: number of live tags whose last push was by this user."""

    name: str
    tags: int


def parse_search(text: str) -> ParsedSearch:
    """Return the query behind a text: a name or a part of it, REPO:TAG, REPO@DIGEST, or a digest.

    A digest needs 8 hexadecimal characters, with or without its algorithm. The address of a registry in front of the
    name is ignored.
    """
    text = text.strip()
    host = _HOST.match(text)
    bare = text[host.end() :] if host else text
    name, at, digest = bare.rpartition("@")
    if at and digest_prefix(digest):
        return ParsedSearch(name.partition(":")[0].lower(), "", digest_prefix(digest), is_reference=bool(name))
    if prefix := digest_prefix(bare):
        # A tag can be the hash of a commit, which looks like the beginning of a digest.
        return ParsedSearch("", "" if ":" in bare else bare.lower(), prefix)
    repository, colon, tag = bare.rpartition(":")
    if colon:
        return ParsedSearch(repository.lower(), tag.lower(), "", is_reference=bool(repository and tag))
    # A first part with a dot may also belong to the name of a repository.
    name = bare if ":" in text else text
    return ParsedSearch(name.lower(), name.lower(), "")
