"""The grammar of repository names, tags and digests, as Distribution defines it."""

import re

REPOSITORY = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}"

# What a name may contain, for the sentences about names that no registry accepts.
REPOSITORY_RULE = (
    "use lowercase letters and digits, with . _ or - between them and / between parts (at most 255 characters)"
)
TAG_RULE = "use letters, digits, _ . and -, and begin with a letter, a digit or _ (at most 128 characters)"

_REPOSITORY = re.compile(REPOSITORY, re.ASCII)
_TAG = re.compile(TAG, re.ASCII)
_DIGEST = re.compile(DIGEST, re.ASCII)
_DIGEST_PREFIX = re.compile(r"(sha(?:256|384|512):)?([0-9a-fA-F]{8,128})", re.ASCII)


def is_repository(name: str) -> bool:
    """True if Distribution accepts this repository name (reference.NameRegexp, at most 255 characters)."""
    return len(name) <= 255 and _REPOSITORY.fullmatch(name) is not None


def is_tag(name: str) -> bool:
    """True if Distribution accepts this tag (reference.TagRegexp)."""
    return _TAG.fullmatch(name) is not None


def is_digest(text: str) -> bool:
    """True if Distribution accepts this digest (digest.DigestRegexp)."""
    return _DIGEST.fullmatch(text) is not None


def digest_prefix(text: str) -> str:
    """Return the first characters of a digest that a text names, with their algorithm; "" if it names none.

    At least 8 hexadecimal characters; without an algorithm it is sha256.
    """
    match = _DIGEST_PREFIX.fullmatch(text)
    return f"{match[1] or 'sha256:'}{match[2].lower()}" if match else ""
