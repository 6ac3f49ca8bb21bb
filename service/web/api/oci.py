"""The history of a tag as the tag-history extension that is proposed for the OCI distribution-spec has it.

https://github.com/opencontainers/distribution-spec/pull/606: an array of descriptors, the latest entry first.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import AwareDatetime, ConfigDict, Field, RootModel
from werkzeug.exceptions import BadRequest

from service.domain.history.interval import Interval
from service.web.api.door import door, refusals
from service.web.api.name import Digest
from service.web.api.paging import MOST_ROWS
from service.web.api.repository import UNKNOWN, TagPath
from service.web.models import Answer, Asked
from service.wiring import Wiring

_CREATED = "org.opencontainers.distribution.tag.created"
_DELETED = "org.opencontainers.distribution.tag.deleted"
_STRANGE = (HTTPStatus.BAD_REQUEST, "the tag never stood at that digest")


class OciQuery(Asked):
    """Which entries."""

    n: int = Field(default=100, ge=0, le=MOST_ROWS, description="entries at most")
    before: AwareDatetime | None = Field(
        default=None, description="only entries of before then, such as the last one's"
    )
    digest: Digest | None = Field(default=None, description="only entries of this manifest")


class Descriptor(Answer):
    """A manifest that the tag was put at, or deleted from."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)

    media_type: str = Field(alias="mediaType", description="of the manifest; empty: nobody noted it")
    size: int = Field(description="of the image in bytes, as far as the registry told: its layers as well")
    digest: str = Field(description="of the manifest")
    annotations: dict[str, str] = Field(description=f"{_CREATED} or {_DELETED}: when, as RFC 3339 has it")


class Descriptors(RootModel[tuple[Descriptor, ...]]):
    """The entries, the latest first."""


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("tags-oci", wiring, documented)

    @pages.get(
        "/repositories/<path:repository>/_oci/tag-history/<tag>",
        responses={HTTPStatus.OK: Descriptors, **refusals([UNKNOWN, _STRANGE])},
    )
    def oci_tag_history(path: TagPath, query: OciQuery) -> Response:
        """The history of a tag in the form that is proposed for the OCI distribution-spec"""
        found = wiring.inventory.intervals(wiring.inventory.known(path.repository), path.tag)
        if query.digest and not any(one.digest == query.digest for one in found):
            raise BadRequest(f"{path.repository}:{path.tag} never stood at {query.digest}")
        chosen = _chosen(_entries(found), query)
        return Response(Descriptors(tuple(chosen[: query.n])).model_dump_json(), mimetype="application/json")

    return (pages,)


def _chosen(entries: Iterable[tuple[int, Descriptor]], query: OciQuery) -> list[Descriptor]:
    before_us = None if query.before is None else query.before.timestamp() * 1_000_000
    return [
        entry
        for at_us, entry in entries
        if (before_us is None or at_us < round(before_us)) and query.digest in (None, entry.digest)
    ]


def _entries(found: Iterable[Interval]) -> Iterator[tuple[int, Descriptor]]:
    """What has no time is no entry."""
    for one in found:
        if one.deleted and one.to_us is not None:
            yield one.to_us, _descriptor(one, _DELETED, one.to_us)
        if one.from_us is not None:
            yield one.from_us, _descriptor(one, _CREATED, one.from_us)


def _descriptor(one: Interval, what: str, at_us: int) -> Descriptor:
    when = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    annotations = {what: when.isoformat().replace("+00:00", "Z")}
    return Descriptor(media_type=one.media_type, size=one.size_bytes, digest=one.digest, annotations=annotations)
