"""The platforms of an image, as `docker pull --platform` names them: linux/amd64, linux/arm/v7."""

import json
from typing import Any

from service.domain.oci.manifest import INDEX_TYPES

_MOST = 100
_LONGEST = 64


def platforms_of_index(media_type: str, content: bytes) -> tuple[str, ...]:
    """Return the platforms of the parts of an index; () for other manifests.

    Parts that are no images, such as attestations, have the platform "unknown" and are left out.
    """
    if media_type not in INDEX_TYPES:
        return ()
    try:
        parts = json.loads(content)["manifests"] or ()
        named = [platform_name(part.get("platform") or {}) for part in parts]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(name for name in named if name))[:_MOST]


def platform_of_config(config: bytes) -> tuple[str, ...]:
    """Return the platform that the config of an image names; () if it names none."""
    try:
        name = platform_name(json.loads(config))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()
    return (name,) if name else ()


def platform_name(platform: dict[str, Any]) -> str:
    """Return "os/architecture/variant" of a descriptor's platform or of a config (OCI image-spec); "" if unknown."""
    words = [platform.get("os"), platform.get("architecture"), platform.get("variant") or None]
    if not all(isinstance(word, str) and word.isprintable() for word in words if word is not None):
        return ""
    if not words[0] or not words[1] or "unknown" in words:
        return ""
    return "/".join(word for word in words if word)[:_LONGEST]
