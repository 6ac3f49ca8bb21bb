"""Check names that become part of a path."""

from service.domain.oci.names import REPOSITORY_RULE, TAG_RULE, is_digest, is_repository, is_tag


def manifest_path(repository: str, reference: str) -> str:
    """The path of a manifest. Raises ValueError for a name that breaks the registry's grammar."""
    if not is_tag(reference) and not is_digest(reference):
        raise ValueError(f"{reference[:80]!r} is neither a tag nor a digest")
    return f"/v2/{checked_repository(repository)}/manifests/{reference}"


def checked_repository(name: str) -> str:
    """Return a repository's name, which then needs no quoting in a path. Raises ValueError if it is not valid."""
    if not is_repository(name):
        raise ValueError(f"{name[:80]!r} is not a repository name: {REPOSITORY_RULE}")
    return name


def checked_tag(text: str) -> str:
    """Return a tag. Raises ValueError if it is not valid."""
    if not is_tag(text):
        raise ValueError(f"{text[:80]!r} is not a tag: {TAG_RULE}")
    return text


def checked_digest(text: str) -> str:
    """Return a digest. Raises ValueError if it is not valid."""
    if not is_digest(text):
        raise ValueError(f"{text[:80]!r} is not a digest: write a complete digest such as sha256:ab12…")
    return text
