"""Names and messages of the troubles about lost images: a deletion by pushprune removed them by mistake.

Such a trouble exists until healing has restored the image.
"""

_LOST = "lost "
FOR_GOOD = "a deletion removed it during its push, and it cannot be restored: push it again"
_NOT_YET = "a deletion by pushprune removed this image during its push; it is not restored yet: {}; it is tried again"
NOT_YET_REASON = "a deletion by pushprune removed it during its push; it is not restored yet"


def trouble_about(repository: str, name: str) -> str:
    """Return the name of the trouble about a lost tag or a lost part of an index.

    Args:
        name: the tag, or the digest of the index.
    """
    return f"{_LOST}{repository}{'@' if ':' in name else ':'}{name}"


def lost_image(about: str) -> tuple[str, str] | None:
    """Return (repository, tag or digest) of a trouble about a lost image; None for other troubles."""
    image = about.removeprefix(_LOST)
    if image == about:
        return None
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, _, tag = image.rpartition(":")
    return repository, tag


def lost_tags(repository: str, abouts: list[str]) -> frozenset[str]:
    """Return the lost tags of a repository, from the names of all troubles."""
    images = (lost_image(about) for about in abouts)
    return frozenset(image[1] for image in images if image and image[0] == repository and ":" not in image[1])


def sentence(error: Exception, *, final: bool) -> str:
    """Return the message of the trouble. final: no further attempt can succeed."""
    return f"{FOR_GOOD} ({error})" if final else _NOT_YET.format(error)


def is_for_good(message: str) -> bool:
    """True if the message says that the image cannot be restored."""
    return message.startswith(FOR_GOOD)
