"""Parse notifications of the registry into typed events. No other module reads their JSON."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json, to_json

from service.domain.errors import MalformedNotification, TooManyEvents
from service.domain.oci.manifest import FOREIGN_LAYER_TYPES, IMAGE_CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES, blobs_size
from service.domain.oci.names import is_digest, is_repository, is_tag

BLOB_TYPE = "application/octet-stream"
OUR_AGENT = "pushprune/"
MOST_EVENTS = 1000
MOST_REFERENCES = 10_000

# Our requests that change something: the word of the installation, and the name of a probe of the doctor.
_WITH_WORD = re.compile(r"pushprune/\S+ \(([\w-]+)(?:; probe ([0-9a-f]{16}))?\)", re.ASCII)
_FUTURE_US = 10 * 60 * 1_000_000

Action = Literal["push", "pull", "mount", "delete"]


@dataclass(frozen=True, slots=True)
class Event:
    """One action at the registry, as a notification reports it.

    Attributes:
        at_us: its time by the registry's clock, in µs since the epoch.
        size_bytes: of an image: its config and layers; 0 if the registry did not send their sizes, and for an index.
        children: the digests that an index lists; None if the registry did not send them. They say which manifests an
            unfinished push may need, and are no proof: an event may be forged.
        artifact: True if the registry sent the references and none of them is an image config. Such a manifest may be
            about another image (signature, SBOM, chart).
        counts: False for a pull that the policy does not count as use.
        blobs: (digest, size in bytes) of config and layers of a manifest that is no index; None if the registry did not
            send them.
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
        """True for layers and configs: they never change the digest that a tag points at."""
        return self.action == "mount" or (self.tag is None and self.media_type == BLOB_TYPE)

    @property
    def is_index(self) -> bool:
        """True if the manifest is an index of other manifests."""
        return self.media_type in INDEX_TYPES

    @property
    def needs_its_manifest(self) -> bool:
        """True if only the manifest itself says which images it contains or belongs to."""
        return self.is_index or self.artifact

    @property
    def is_by_pushprune(self) -> bool:
        """True if the request names pushprune as its client: this installation, another one, or a stranger."""
        return self.useragent.startswith(OUR_AGENT)

    def is_ours(self, word: str) -> bool:
        """Return True if the event is our own traffic, which is not usage (safety rule 6).

        Any client can send the name pushprune; only this installation knows its word. A pull needs no word, because a
        pull by any pushprune is no use of an image.
        """
        if not self.is_by_pushprune:
            return False
        match = _WITH_WORD.fullmatch(self.useragent)
        return self.action == "pull" or (match is not None and match[1] == word)

    def probe(self, word: str) -> str | None:
        """Return the name of the doctor's probe if this event is the push of its manifest, else None."""
        if self.action != "push" or self.is_blob or not self.is_ours(word):
            return None
        match = _WITH_WORD.fullmatch(self.useragent)
        return match[2] if match else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that is not understood: the reason, and the beginning of its text."""

    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """The content of one POST of the registry."""

    events: tuple[Event, ...]
    rejected: tuple[Rejected, ...]

    @property
    def has_pulls(self) -> bool:
        """True if a client other than pushprune pulled a manifest."""
        return any(event.action == "pull" and not event.is_blob and not event.is_by_pushprune for event in self.events)

    def echoes(self, word: str) -> frozenset[str]:
        """Return the registry instances that sent this envelope if it need not be recorded; else nothing.

        An envelope need not be recorded if this installation, which has the `word`, caused all of its events.
        """
        # A delete is always recorded: a race may have removed a tag too.
        ours = not self.rejected and all(event.is_ours(word) and event.action != "delete" for event in self.events)
        return frozenset(event.instance for event in self.events) if ours else frozenset()

    def probes(self, word: str) -> tuple[tuple[str, bool], ...]:
        """Return the doctor's probes among the events: (name, True if the registry sends what manifests reference)."""
        named = ((event.probe(word), event.blobs is not None) for event in self.events)
        return tuple((name, references) for name, references in named if name)

    def discounting(self, ignores: Callable[[str, str], bool]) -> "Envelope":
        """Return the envelope with `counts` set to False on each pull for which `ignores(useragent, actor)` is true."""
        events = (
            replace(event, counts=False) if event.action == "pull" and ignores(event.useragent, event.actor) else event
            for event in self.events
        )
        return replace(self, events=tuple(events))


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Reference(_Model):
    mediaType: str = ""
    digest: str = ""
    size: int = 0


def _unless_too_many(references: Any) -> Any:
    # A pusher may write 300,000 references into a manifest. Reading them takes longer than the registry waits for an
    # answer, and it would send the event again for ever. Without them, a worker reads the manifest.
    return None if isinstance(references, list) and len(references) > MOST_REFERENCES else references


class _Target(_Model):
    repository: str
    mediaType: str | None = None
    digest: str | None = None
    tag: str | None = None
    size: Annotated[int, Field(ge=0, lt=2**53)] = 0
    references: Annotated[list[_Reference] | None, BeforeValidator(_unless_too_many)] = None


class _Request(_Model):
    addr: str | None = None
    useragent: str | None = None


class _Actor(_Model):
    name: str | None = None


class _Source(_Model):
    instanceID: str | None = None


class _Event(_Model):
    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    timestamp: Annotated[datetime, Field(strict=False)]
    action: Action
    target: _Target
    request: _Request = _Request()
    actor: _Actor = _Actor()
    source: _Source = _Source()


def parse(body: bytes, now_us: int) -> Envelope:
    """Return the events of one POST body, each either parsed or rejected with a reason.

    Args:
        now_us: the clock of this machine in µs. An event from more than ten minutes in the future is rejected. The time
            of any other event is at most now_us, so that it does not outrank later pushes.

    Raises:
        MalformedNotification: the body is not JSON or not an envelope.
        TooManyEvents: the envelope has more than MOST_EVENTS events. Registries send one event at a time.
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
    for later_events, raw in zip(range(len(envelope["events"]) - 1, -1, -1), envelope["events"], strict=True):
        try:
            # Events from the future would all get the same time. One µs less for each later event keeps their order.
            events.append(_event(raw, now_us, now_us - later_events))
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
    # Registries send an empty text for what is missing.
    tag, digest, media_type = target.tag or None, target.digest or None, target.mediaType or ""
    if tag is not None and not is_tag(tag):
        raise ValueError("target.tag: no tag can have that name")
    if digest is not None and not is_digest(digest):
        raise ValueError("target.digest: that is no digest")
    if digest is None and (event.action != "delete" or tag is None):
        raise ValueError("target.digest: it is missing")
    references = target.references or ()
    blobs = _blobs(media_type, references)
    return Event(
        id=event.id,
        at_us=min(at_us, latest_us),
        action=event.action,
        repository=target.repository,
        tag=tag,
        digest=digest,
        media_type=media_type[:255],
        size_bytes=blobs_size(blobs) if blobs else 0,
        children=_children(media_type, references),
        actor=(event.actor.name or "")[:128],
        useragent=(event.request.useragent or "")[:256],
        address=(event.request.addr or "")[:64],
        instance=(event.source.instanceID or "")[:64],
        artifact=blobs is not None and not any(blob.mediaType in IMAGE_CONFIG_TYPES for blob in references),
        blobs=blobs,
    )


def _children(media_type: str, references: Sequence[_Reference]) -> tuple[str, ...] | None:
    """Return the digests that an index lists, or None if the event does not say all that the index contains."""
    if media_type not in INDEX_TYPES or not references:
        return None
    # A child may be an index itself. Only the manifest of that child says what it contains.
    if any(child.mediaType in INDEX_TYPES or child.mediaType not in MANIFEST_TYPES for child in references):
        return None
    children = tuple(reference.digest for reference in references)
    return children if all(is_digest(child) for child in children) else None


def _blobs(media_type: str, references: Sequence[_Reference]) -> tuple[tuple[str, int], ...] | None:
    """Return the config and layers of a manifest that is no index, or None if the registry did not send them."""
    if media_type in INDEX_TYPES or media_type not in MANIFEST_TYPES or not references:
        return None
    stored = (reference for reference in references if reference.mediaType not in FOREIGN_LAYER_TYPES)
    return tuple((reference.digest, reference.size) for reference in stored)


def _one_sentence(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(error)


def _excerpt(raw: Any) -> str:
    return to_json(raw, fallback=str)[:1024].decode("utf-8", "replace")
