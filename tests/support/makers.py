"""Makers of test values that show only what matters; everything else gets a plain default.

Times are in seconds after one fixed moment in the past: `tag("v1", pushed=5)` was pushed 5 s after it, `us(5)` is that
moment in µs. A digest may be given by any short name, and is the same wherever that name is used.
"""

import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from service.domain.events import Envelope, parse
from service.domain.oci.manifest import OCI_MANIFEST
from service.domain.policy.model import Policy
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.explanation import Explanation, explanations
from service.domain.retention.plan import Plan
from service.domain.retention.planner import plan
from service.domain.retention.state import State, Tag

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
START_S = 1_700_000_000
DAY = 86_400
# Seconds after the start at which tests about ages decide.
NOW_S = 200 * DAY
PLAIN_ENVELOPE = "application/json"
V1_ENVELOPE = "application/vnd.docker.distribution.events.v1+json"
V2_ENVELOPE = "application/vnd.docker.distribution.events.v2+json"


def us(seconds: float) -> int:
    """The moment `seconds` after the start, in µs since the epoch."""
    return round((START_S + seconds) * 1_000_000)


def digest_of(name: str) -> str:
    """The digest with this short name; a whole digest is returned unchanged."""
    return name if ":" in name else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def tag(name: str, pushed: float | None = 0, digest: str | None = None, **more: Any) -> Tag:
    """A live tag. pushed: seconds after the start, None = not reported; digest: one of its own unless given."""
    pushed_us = None if pushed is None else us(pushed)
    return Tag(name, digest_of(name if digest is None else digest), pushed_us, **more)


def old(name: str, days: float, digest: str | None = None, pulled: float | None = None) -> Tag:
    """A tag pushed so many days before NOW_S; pulled: days before it."""
    pulled_us = None if pulled is None else us(NOW_S - pulled * DAY)
    return tag(name, NOW_S - days * DAY, digest, pulled_us=pulled_us)


def event(
    action: str = "push",
    repository: str = "shop/api",
    tag: str | None = "v1",
    digest: str | None = None,
    at: float = 0,
    *,
    media_type: str = OCI_MANIFEST,
    useragent: str = "docker/29",
    actor: str = "alice",
    instance: str = "registry-1",
    children: tuple[str, ...] | None = None,
    blobs: Mapping[str, int] | None = None,
    **changed: Any,
) -> dict[str, Any]:
    """One event as the registry sends it. The same arguments give the same id; changed: top-level keys as they are.

    blobs: config and layers with their sizes in bytes, as the registry sends them with includereferences.
    """
    target: dict[str, Any] = {"repository": repository}
    if tag is not None:
        target["tag"] = tag
    if action != "delete" or tag is None:
        target["digest"] = digest_of(digest or tag or "untagged")
    if action != "delete":
        target |= {"mediaType": media_type, "size": 512, "length": 512, "url": "http://registry/v2/"}
    if children is not None:
        target["references"] = [{"mediaType": OCI_MANIFEST, "digest": digest_of(child)} for child in children]
    if blobs is not None:
        target["references"] = [
            {"mediaType": LAYER if number else CONFIG, "digest": digest_of(blob), "size": size}
            for number, (blob, size) in enumerate(blobs.items())
        ]
    message = {
        "timestamp": datetime.fromtimestamp(START_S + at, UTC).isoformat().replace("+00:00", "Z"),
        "action": action,
        "target": target,
        "request": {"id": "r", "addr": "10.0.0.7:4711", "host": "registry", "method": "PUT", "useragent": useragent},
        "actor": {"name": actor} if actor else {},
        "source": {"addr": "registry:5000", "instanceID": instance},
    }
    identity = hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()
    return {"id": identity, **message, **changed}


def blob_event(action: str = "push", repository: str = "shop/api", at: float = 0, **more: Any) -> dict[str, Any]:
    """An event about a layer."""
    return event(action, repository, None, "layer", at, media_type="application/octet-stream", **more)


def envelope(*events: Any) -> bytes:
    """The body of one POST."""
    return json.dumps({"events": list(events)}).encode()


def understood(*events: Any) -> Envelope:
    """Parse these events, received a year after the start."""
    return parse(envelope(*events), us(365 * 86_400))


def planned(tags: Iterable[Tag], rules: Policy, now_us: int, repository: str = "shop/api", **more: Any) -> Plan:
    """The plan for these tags; more: the other parts of the state."""
    return plan(State(repository=repository, tags=tuple(tags), **more), rules, now_us)


def policy(text: str) -> Policy:
    """The policy in this YAML text."""
    return Policy.model_validate(yaml.safe_load(textwrap.dedent(text)) or {})


def explain(state: State, policy: Policy, now_us: int, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
    """The explanations of these tags at this moment; None: of all."""
    return explanations(Evaluation(state, policy, now_us), names)
