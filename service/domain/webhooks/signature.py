"""The signature of a webhook's message, as Standard Webhooks (standardwebhooks.com) defines it."""

import base64
import hashlib
import hmac

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
MAKE_ONE = 'make one with: echo "whsec_$(openssl rand -base64 32)"'


def signing_key(secret: str) -> bytes:
    """Return the key behind a secret.

    Args:
        secret: the base64 of 24 to 64 random bytes, with or without `whsec_` before it.

    Raises:
        ValueError: the secret is something else; the message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"this is not whsec_ and the base64 of {_SHORTEST} to {_LONGEST} random bytes: {MAKE_ONE}")
    return key


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of the header webhook-signature."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
