"""Find every digest that the bytes of a manifest mention, whatever the manifest's format is."""

import json
import re
from collections import Counter
from dataclasses import dataclass

# The largest manifest that Distribution accepts.
LONGEST_MANIFEST = 4 * 1024 * 1024

_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
# JSON may escape any character of a digest, and a registry reads the escaped text.
_ESCAPE = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
_LONG_S = re.compile(rb"\xc5\xbf|\\u017[fF]")


@dataclass(frozen=True, slots=True)
class Mentions:
    """The sha256 digests that a manifest mentions, packed.

    Attributes:
        digests: all of them.
        parts: those that may be manifests themselves: all but its config and layers.
        is_known: it is an image or an index of today. False for Docker schema 1 and every unknown format.
    """

    digests: frozenset[bytes]
    parts: frozenset[bytes]
    is_known: bool = True


def read_mentions(content: bytes) -> Mentions:
    """Return the digests in these bytes. The result may have more than the manifest references, but never less."""
    mentioned = _found(content)
    try:
        manifest = json.loads(content)
        layers = [manifest[name] for name in ("config", "layers", "fsLayers") if name in manifest]
        is_known = manifest.get("schemaVersion") == 2 and ("layers" in manifest or "manifests" in manifest)
    except (ValueError, TypeError, AttributeError, RecursionError):
        # An unknown format: each digest may name a manifest.
        return Mentions(frozenset(mentioned), frozenset(mentioned), is_known=False)
    # A digest that is mentioned elsewhere as well may name a manifest.
    elsewhere = Counter(mentioned) - Counter(_found(json.dumps(layers).encode()))
    return Mentions(frozenset(mentioned), frozenset(elsewhere), is_known)


def begins_as_manifest(start: bytes) -> bool:
    """True if a manifest could begin with these bytes. It is a JSON object, which most layers are not."""
    return start.lstrip(b" \t\r\n")[:1] in (b"{", b"")


def may_be_manifest(content: bytes) -> bool:
    """True if a registry could accept these bytes as a manifest. A config has no schema version."""
    # First, because the search takes 0.3 ms for 64 kB.
    if not begins_as_manifest(content):
        return False
    # Go ignores the case of the names in JSON, and takes a long s for an s.
    return b"schemaversion" in _LONG_S.sub(b"s", _unescaped(content)).lower()


def _found(content: bytes) -> list[bytes]:
    return [bytes.fromhex(digest.decode()) for digest in _DIGEST.findall(_unescaped(content))]


def _unescaped(content: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), content) if b"\\u" in content else content
