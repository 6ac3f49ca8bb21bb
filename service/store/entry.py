"""Read the rows of a history stream."""

from collections.abc import Mapping

from service.domain.history.entry import Entry
from service.store.packing import unpack_media


def entry_of(identifier: str, fields: Mapping[str, str], repository: str | None) -> Entry:
    """Return the entry behind a row of history:R or events. repository: used if the row names none."""
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
        media_type=unpack_media(fields.get("media", "")),
    )
