"""Check addresses: the URL of the registry, and names that become part of a path."""

from urllib.parse import urlsplit

from service.domain.errors import ConfigurationError
from service.domain.oci.names import is_digest, is_repository, is_tag


def checked_url(url: str) -> str:
    """Return the URL without a trailing slash or /v2. Raises ConfigurationError if it is not valid."""
    # The message does not repeat a URL with a login: it may contain a password.
    if "@" in url:
        raise ConfigurationError(
            "registry.url must not carry a login: use registry.username and registry.password_file instead"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigurationError(f"registry.url {url[:200]!r} must look like https://registry.example.com:5000")
    return url.rstrip("/").removesuffix("/v2")


def manifest_path(repository: str, reference: str) -> str:
    """The path of a manifest. Raises ValueError for a name that breaks the registry's grammar."""
    if not is_tag(reference) and not is_digest(reference):
        raise ValueError(f"{reference[:80]!r} is neither a tag nor a digest")
    return f"/v2/{checked_repository(repository)}/manifests/{reference}"


def checked_repository(name: str) -> str:
    """Return a repository's name, which then needs no quoting in a path. Raises ValueError if it is not valid."""
    if not is_repository(name):
        raise ValueError(f"{name[:80]!r} is not a repository name")
    return name


def checked_tag(text: str) -> str:
    """Return a tag. Raises ValueError if it is not valid."""
    if not is_tag(text):
        raise ValueError(f"{text[:80]!r} is not a tag")
    return text


def checked_digest(text: str) -> str:
    """Return a digest. Raises ValueError if it is not valid."""
    if not is_digest(text):
        raise ValueError(f"{text[:80]!r} is not a digest")
    return text
