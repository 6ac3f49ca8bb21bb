"""One line of a history stream."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of history. id: its stream id (ms of arrival). at_us: when it happened, in µs since the epoch."""

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


def entry_of(identifier: str, fields: Mapping[str, str], repository: str | None) -> Entry:
    """The entry behind a row of history:R or events; repository: whose stream it is, where the row does not say."""
    return Entry(
        id=identifier,
        repository=fields.get("repository") or repository or "",
        action=fields["action"],
        tag=fields["tag"],
        digest=fields["digest"],
        size_bytes=int(fields["size"] or 0),
        actor=fields["actor"],
        useragent=fields["agent"],
        address=fields["address"],
        at_us=int(fields["at_us"]),
        reason=fields["reason"],
        rule=fields["rule"],
    )
