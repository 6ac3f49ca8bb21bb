"""One entry of the history: an action on a tag or a manifest, as it was recorded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the history.

    Attributes:
        id: the id in the Redis stream, which begins with the time of arrival in ms.
        at_us: the time of the action, in µs since the epoch.
        media_type: of the manifest that was pushed or imported; "" if it was not recorded, and for other actions.
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
