"""Find every digest that the bytes of a manifest mention, whatever the manifest's format is."""

import json
import re
from dataclasses import dataclass

# The largest manifest that Distribution accepts.
LONGEST_MANIFEST = 4 * 1024 * 1024

_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
# JSON may escape any character of a digest, and a registry reads the escaped text.
_ESCAPE = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


@dataclass(frozen=True, slots=True)
class Mentions:
    """The sha256 digests that a manifest mentions, packed.

    Attributes:
        digests: all of them.
        parts: those that may be manifests themselves: all but its config and layers.
    """

    digests: frozenset[bytes]
    parts: frozenset[bytes]


def read_mentions(content: bytes) -> Mentions:
    """Return the digests in these bytes. The result may have more than the manifest references, but never less."""
    digests = _found(content)
    try:
        manifest = json.loads(content)
        layers = {name: manifest.pop(name) for name in ("config", "layers", "fsLayers") if name in manifest}
    except (ValueError, TypeError, AttributeError, RecursionError):
        # An unknown format: each digest may name a manifest.
        return Mentions(digests, digests)
    leaves = _found(json.dumps(layers).encode())
    # A digest that is mentioned elsewhere as well may name a manifest.
    return Mentions(digests, (digests - leaves) | _found(json.dumps(manifest).encode()))


def may_be_manifest(content: bytes) -> bool:
    """True if a registry could accept these bytes as a manifest. A config has no schema version."""
    # Go ignores the case of the names in JSON.
    return b"schemaversion" in _unescaped(content).lower()


def _found(content: bytes) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(digest.decode()) for digest in _DIGEST.findall(_unescaped(content)))


def _unescaped(content: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), content) if b"\\u" in content else content
