"""The registry's envelope -> events. JSON becomes typed here and nowhere else."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json, to_json

from service.domain.errors import MalformedNotification, TooManyEvents
from service.domain.oci.manifest import FOREIGN_LAYER_TYPES, IMAGE_CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES
from service.domain.oci.names import is_digest, is_repository, is_tag

BLOB_TYPE = "application/octet-stream"
OUR_AGENT = "pushprune/"
MOST_EVENTS = 1000

_PROBE = re.compile(r"pushprune/\S+ \(probe ([0-9a-f]{16})\)", re.ASCII)
_FUTURE_US = 10 * 60 * 1_000_000

Action = Literal["push", "pull", "mount", "delete"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at the registry. at_us: its time there, in µs since the epoch.

    children: the digests an index lists, where the registry sent them; None where it did not. They tell what a push
    under way may need, and no more: an event may be forged. artifact: the registry sent what it references, and no
    image's config is among it: it may be about another image (signature, SBOM, chart).
    size_bytes: of an image its manifest, config and layers where the registry sent them, else of the manifest alone.
    counts: False for a pull that the policy does not take for use. blobs: (digest, size in bytes) of config and layers
    of a manifest that is no index, where the registry sent them; None where it did not.
    """

    id: str
    at_us: int
    action: Action
    repository: str
    tag: str | None
    digest: str | None
    media_type: str
    size_bytes: int
    children: tuple[str, ...] | None
    actor: str
    useragent: str
    address: str
    instance: str
    artifact: bool = False
    counts: bool = True
    blobs: tuple[tuple[str, int], ...] | None = None

    @property
    def is_blob(self) -> bool:
        """Layers and configs: they never change what a tag points at."""
        return self.action == "mount" or (self.tag is None and self.media_type == BLOB_TYPE)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    @property
    def must_be_looked_into(self) -> bool:
        """Whether only its manifest can tell what it holds or belongs to."""
        return self.is_index or self.artifact

    @property
    def is_ours(self) -> bool:
        """Safety rule 6: our own traffic is not usage."""
        return self.useragent.startswith(OUR_AGENT)

    @property
    def probe(self) -> str | None:
        """The name of the doctor's probe, where this is the push of its manifest."""
        if self.action != "push" or self.is_blob or not self.is_ours:
            return None
        found = _PROBE.fullmatch(self.useragent)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be understood: why, and its beginning as text."""

    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one POST carried."""

    events: tuple[Event, ...]
    rejected: tuple[Rejected, ...]

    @property
    def has_pulls(self) -> bool:
        """Whether somebody else pulled a manifest."""
        return any(event.action == "pull" and not event.is_blob and not event.is_ours for event in self.events)

    @property
    def echoes(self) -> frozenset[str]:
        """The registry instances it comes from, where it tells only what we did ourselves and need not be recorded.

        A delete is recorded: a race may have taken a tag along, or another pushprune may have sent it. Empty where
        there is anything else.
        """
        ours = not self.rejected and all(event.is_ours and event.action != "delete" for event in self.events)
        return frozenset(event.instance for event in self.events) if ours else frozenset()

    @property
    def probes(self) -> tuple[tuple[str, bool], ...]:
        """The doctor's probes among them: the name of each, and whether the registry says what manifests reference."""
        return tuple((event.probe, event.blobs is not None) for event in self.events if event.probe)

    def discounting(self, ignores: Callable[[str, str], bool]) -> "Envelope":
        """The same, where pulls by those whom `ignores(useragent, actor)` names do not count as use."""
        events = (
            replace(event, counts=False) if event.action == "pull" and ignores(event.useragent, event.actor) else event
            for event in self.events
        )
        return replace(self, events=tuple(events))


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


def _text_or_empty(value: Any) -> Any:
    return "" if value is None else value


_Text = Annotated[str, BeforeValidator(_text_or_empty)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Reference(_Model):
    mediaType: str = ""
    digest: str = ""
    size: int = 0


class _Target(_Model):
    repository: str
    mediaType: _Text = ""
    digest: Annotated[str | None, BeforeValidator(_none_if_empty)] = None
    tag: Annotated[str | None, BeforeValidator(_none_if_empty)] = None
    size: Annotated[int, Field(ge=0, lt=2**53)] = 0
    references: list[_Reference] | None = None


class _Request(_Model):
    addr: _Text = ""
    useragent: _Text = ""


class _Actor(_Model):
    name: _Text = ""


class _Source(_Model):
    instanceID: _Text = ""


class _Event(_Model):
    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    timestamp: Annotated[datetime, Field(strict=False)]
    action: Action
    target: _Target
    request: _Request = _Request()
    actor: _Actor = _Actor()
    source: _Source = _Source()


def parse(body: bytes, now_us: int) -> Envelope:
    """The events of one POST body, each either understood or rejected with its reason.

    now_us: our clock in µs. An event from more than ten minutes in the future is rejected; any other event counts from
    now at the latest, or it would outrank the pushes that come after it.
    Raises MalformedNotification when the body is not JSON or not an envelope, TooManyEvents when it is a flood:
    registries send one event at a time.
    """
    try:
        envelope = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedNotification(f"the body is not JSON: {error}") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("events"), list):
        raise MalformedNotification('the body is no envelope; expected {"events": […]}')
    if len(envelope["events"]) > MOST_EVENTS:
        raise TooManyEvents(f"an envelope of more than {MOST_EVENTS} events is not accepted")
    events: list[Event] = []
    rejected: list[Rejected] = []
    for left, raw in zip(range(len(envelope["events"]) - 1, -1, -1), envelope["events"], strict=True):
        try:
            # What one envelope brings keeps its order, where all of it comes from the future.
            events.append(_event(raw, now_us, now_us - left))
        except ValueError as error:
            rejected.append(Rejected(_one_sentence(error), _excerpt(raw)))
    return Envelope(tuple(events), tuple(rejected))


def _event(raw: Any, now_us: int, latest_us: int) -> Event:
    event = _Event.model_validate(raw)
    target = event.target
    if event.timestamp.tzinfo is None:
        raise ValueError("timestamp: it has no time zone")
    at_us = round(event.timestamp.timestamp() * 1_000_000)
    if not 0 < at_us <= now_us + _FUTURE_US:
        raise ValueError("timestamp: it is not of this time; compare the clocks of the registry and of this machine")
    if not is_repository(target.repository):
        raise ValueError("target.repository: no repository can have that name")
    if target.tag is not None and not is_tag(target.tag):
        raise ValueError("target.tag: no tag can have that name")
    if target.digest is not None and not is_digest(target.digest):
        raise ValueError("target.digest: that is no digest")
    if target.digest is None and (event.action != "delete" or target.tag is None):
        raise ValueError("target.digest: it is missing")
    return Event(
        id=event.id,
        at_us=min(at_us, latest_us),
        action=event.action,
        repository=target.repository,
        tag=target.tag,
        digest=target.digest,
        media_type=target.mediaType[:255],
        size_bytes=_size_bytes(target),
        children=_children(target),
        actor=event.actor.name[:128],
        useragent=event.request.useragent[:256],
        address=event.request.addr[:64],
        instance=event.source.instanceID[:64],
        artifact=_is_artifact(target),
        blobs=_blobs(target),
    )


def _children(target: _Target) -> tuple[str, ...] | None:
    """None where an index lists what may be another one: what that holds stands in its manifest only."""
    if target.mediaType not in INDEX_TYPES or not target.references:
        return None
    if any(child.mediaType in INDEX_TYPES or child.mediaType not in MANIFEST_TYPES for child in target.references):
        return None
    children = tuple(reference.digest for reference in target.references)
    return children if all(is_digest(child) for child in children) else None


def _blobs(target: _Target) -> tuple[tuple[str, int], ...] | None:
    if target.mediaType in INDEX_TYPES or target.mediaType not in MANIFEST_TYPES or not target.references:
        return None
    stored = (reference for reference in target.references if reference.mediaType not in FOREIGN_LAYER_TYPES)
    return tuple((reference.digest, reference.size) for reference in stored)


def _size_bytes(target: _Target) -> int:
    """An index references manifests: what their images take is not known from it."""
    referenced = () if target.mediaType in INDEX_TYPES else target.references or ()
    return min(target.size + sum(max(reference.size, 0) for reference in referenced), 2**53 - 1)


def _is_artifact(target: _Target) -> bool:
    if target.mediaType in INDEX_TYPES or target.mediaType not in MANIFEST_TYPES or not target.references:
        return False
    return not any(reference.mediaType in IMAGE_CONFIG_TYPES for reference in target.references)


def _one_sentence(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(error)


def _excerpt(raw: Any) -> str:
    return to_json(raw, fallback=str)[:1024].decode("utf-8", "replace")
