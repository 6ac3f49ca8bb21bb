"""Record events in the history, as the web process does."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from redis.client import NEVER_DECODE

from service.clock import now_us
from service.domain.events import Action, Envelope, Event
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.facts import RegistryFacts
from service.store.history import History
from service.store.live_tags import flat_live

NOW = now_us() - 3_600_000_000


def digest(seed: object) -> str:
    return "sha256:" + hashlib.sha256(str(seed).encode()).hexdigest()


def event(number: int, action: Action = "push", tag: str | None = "v1", seed: object = None, **more: Any) -> Event:
    """Event `number`: its id and its time."""
    made = Event(
        id=f"id-{number}", at_us=NOW + number * 1000, action=action, repository="shop/api", tag=tag,
        digest=digest(seed if seed is not None else number), media_type="application/vnd.oci.image.manifest.v1+json",
        size_bytes=400, children=None, actor="ci", useragent="docker/27", address="10.0.0.9:1", instance="i1",
    )  # fmt: skip
    return replace(made, **more)


def user_delete(number: int, tag: str) -> Event:
    return event(number, "delete", tag, digest=None, media_type="")


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


def facts_of(history: History) -> RegistryFacts:
    """Return the facts beside a history, with the same limits."""
    return RegistryFacts(history._connection, history._limits)


def record(history: History, *events: Event) -> tuple[str, ...]:
    return history.record(Envelope(tuple(events), ())).due


def state(connection: Connection) -> dict[str, Any]:
    """Everything in Redis that may not depend on the order or number of deliveries.

    Streams count as bags of entries without their ids, names without their numbers.
    Times (due, last_notification, instances, unread_manifests, unseen, generation) count as presence.
    untagged:R is left out: it is what may be without a tag, and its clock may start later for events that come late.
    So is the word, which no event changes.
    """
    result: dict[str, Any] = {}
    client: Any = connection.client
    prefix = connection.keys.prefix
    for key in map(str, client.scan_iter(match=f"{prefix}*", count=1000)):
        name = key.removeprefix(prefix)
        kind = client.type(key)
        # Late pushes are not noted in pushes:R.
        if name.startswith(("untagged:", "pushes:")) or name == "word":
            continue
        if kind == "stream":
            rows = [fields for _, fields in client.xrange(key)]
            if name.startswith("history:"):
                rows = list(map(Dictionary(connection).flat_row, rows))
            result[name] = sorted(sorted(fields.items()) for fields in rows)
        elif kind == "hash":
            values = _flat_tags(connection, key) if name.startswith("live:") else client.hgetall(key)
            values.pop("duplicate", None)
            result[name] = sorted(values) if name in ("generation", "dictionary") else values
        elif kind == "set":
            # The ids of the events of one hour: a test may run across the full hour.
            name = name.partition(":")[0] if name.startswith("seen:") else name
            result[name] = result.get(name, set()) | client.smembers(key)
        elif kind == "zset":
            rows = client.zrange(key, 0, -1, withscores=True)
            result[name] = (
                sorted(m for m, _ in rows) if name in ("due", "instances", "unread_manifests", "unseen") else dict(rows)
            )
        else:
            result[name] = "some time" if name == "last_notification" else client.get(key)
    return result


def _flat_tags(connection: Connection, key: str) -> dict[str, str]:
    client: Any = connection.client
    fields = client.execute_command("HGETALL", key, **{NEVER_DECODE: True})
    name_of = Dictionary(connection).name
    return {tag.decode(): flat_live(packed, name_of) for tag, packed in fields.items()}
