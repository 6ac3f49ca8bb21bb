"""One line of history: something that happened to a tag or a manifest, as it was recorded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """id: its stream id (ms of arrival). at_us: when it happened, in µs since the epoch.

    media_type: of the manifest that was pushed or found; "" where nobody noted it, and for everything else.
    """

    id: str
    repository: str
    action: str
    tag: str
    digest: str
    size_bytes: int
    actor: str
    useragent: str
    address: str
    at_us: int
    reason: str
    rule: str
    media_type: str = ""
