"""Bytes of Redis per live tag, per entry of the history and per manifest with its layers, as MEMORY USAGE counts."""

import json
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain.events import parse
from service.domain.oci.manifest import OCI_MANIFEST
from service.domain.retention.plan import Plan
from service.settings import load_settings
from service.wiring import Wiring, wire
from tests.bench.figure import Figure
from tests.fakes.images import sha256
from tests.fakes.valkey import Valkey

REPOSITORIES, TAGS, PUSHES_PER_TAG = 8, 128, 4
LAYERS, SHARED_LAYERS, MANIFESTS = 5, 3, (128, 1000)
PER_TAG, PER_ENTRY = 100, 130
DOCKER = (
    r"docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.8.0-48-generic os/linux arch/amd64 "
    r"UpstreamClient(Docker-Client/27.3.1 \(linux\))"
)
SKOPEO = "skopeo/1.18.0"
_HISTORY = {"history", "events", "pulls", "seen", "counters", "dictionary", "pushes"}


@dataclass(frozen=True, slots=True)
class Case:
    """The author of pushes: names of tags (of a number), user and client."""

    name: str
    tag: str
    actor: str
    agent: str


CASES = (
    Case("v1.4.N by skopeo, no login", "v1.4.{}", "", SKOPEO),
    Case("v1.4.N by docker as `ci`", "v1.4.{}", "ci", DOCKER),
    Case("main-NNNNN-3f9c2a7b by docker as `alicia`", "main-{:05d}-3f9c2a7b", "alicia", DOCKER),
    Case("the same, as a robot of 24 letters", "main-{:05d}-3f9c2a7b", "robot$shop+gitlab-runner", DOCKER),
)


def measure() -> Iterator[Figure]:
    """The same pushes with names short and long; every tag is also pulled once."""
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as folder, Valkey(Path(folder) / "redis") as valkey:
            yield from _figures(wire(load_settings(environ={}, redis={"url": valkey.url})), case)
    yield _known_layers()


def _known_layers() -> Figure:
    """Images of a config and some layers, most of them shared, in one repository as large as usual or as remembered."""
    each = []
    with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as folder, Valkey(Path(folder) / "redis") as valkey:
        wiring = wire(load_settings(environ={}, redis={"url": valkey.url}))
        for manifests in MANIFESTS:
            repository = f"shop/service-{manifests}"
            for number in range(manifests):
                body = _envelope("push", repository, f"v{number}", f"{repository} {number}", CASES[0], _layers(number))
                assert wiring.store.history.record(parse(body, time.time_ns() // 1000)).events == 1
            with wiring.store.connection.reached() as client:
                held = client.memory_usage(wiring.store.connection.keys.of("layers", repository), samples=0)
            each.append(f"{held / manifests:.0f} at {manifests:,} in a repository")
    name = f"bytes per manifest whose layers are known ({LAYERS + 1} blobs)"
    return Figure(name, ", ".join(each))


def _layers(number: int) -> list[dict[str, Any]]:
    """Config and layers as the registry sends them: some kB, and some MB each."""
    own = [f"{number} {layer}" for layer in range(LAYERS - SHARED_LAYERS)]
    layers = [*(f"base {layer}" for layer in range(SHARED_LAYERS)), *own]
    sized = [(f"config {number}", 7000 + number), *((layer, 30_000_000 + number) for layer in layers)]
    return [{"mediaType": "x", "digest": sha256(blob.encode()), "size": size} for blob, size in sized]


def _figures(wiring: Wiring, case: Case) -> Iterator[Figure]:
    _fill(wiring, case)
    held = _held(wiring)
    tags, entries = REPOSITORIES * TAGS, REPOSITORIES * TAGS * PUSHES_PER_TAG
    state = {name: size / tags for name, size in held.items() if name not in _HISTORY}
    pulled = state.pop("pulled")
    unread = state.pop("unread_manifests") / PUSHES_PER_TAG
    left_behind = (state.pop("untagged") + state.pop("revisions")) / (PUSHES_PER_TAG - 1)
    each = sum(state.values())
    largest = sorted(state.items(), key=lambda part: -part[1])
    parts = ", ".join(f"{name} {size:.0f}" for name, size in largest if size >= 0.5)
    measured = f"{each:.0f} ({parts}), {each + pulled:.0f} once it was pulled"
    yield Figure(f"bytes per live tag: {case.name}", measured, f"≤ {PER_TAG}", each <= PER_TAG)
    size, flat = held["history"] / entries, held["events"] / entries
    measured = f"{size:.0f}; {flat:.0f} in events, whose values are flat"
    yield Figure(f"bytes per entry of history: {case.name}", measured, f"≤ {PER_ENTRY}", size <= PER_ENTRY)
    seen = held["seen"] / (entries + tags)
    measured = (
        f"{held['pulls'] / tags:.0f} per pull; {seen:.0f} for two hours per event; "
        f"{unread:.0f} for an hour per push whose layers the registry does not tell; "
        f"{left_behind:.0f} per digest that a moving tag left behind"
    )
    yield Figure(f"bytes besides: {case.name}", measured)


def _fill(wiring: Wiring, case: Case) -> None:
    """Every tag pushed several times, as moving tags are, and pulled once; then planned, so that nothing is due."""
    repositories = [f"shop/service-{number}" for number in range(REPOSITORIES)]
    for turn in range(PUSHES_PER_TAG + 1):
        for repository in repositories:
            for tag in range(TAGS):
                action = "push" if turn < PUSHES_PER_TAG else "pull"
                seed = f"{repository} {turn} {tag}"
                body = _envelope(action, repository, case.tag.format(tag), seed, case)
                assert wiring.store.history.record(parse(body, time.time_ns() // 1000)).events == 1
    for repository in repositories:
        wiring.store.facts.adopt(wiring.store.history.snapshot(repository), complete=True)
        assert wiring.store.history.commit(wiring.store.history.snapshot(repository), Plan(), "none")


def _held(wiring: Wiring) -> Counter[str]:
    """Bytes by the first word of the key."""
    held: Counter[str] = Counter()
    prefix = wiring.settings.redis.prefix
    with wiring.store.connection.reached() as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            held[key.removeprefix(prefix).partition(":")[0]] += client.memory_usage(key, samples=0)
    return held


def _envelope(action: str, repository: str, tag: str, seed: str, case: Case, layers: Any = None) -> bytes:
    target: dict[str, Any] = {
        "repository": repository,
        "tag": tag,
        "digest": sha256(seed.encode()),
        "mediaType": OCI_MANIFEST,
        "size": 1573,
    }
    if layers is not None:
        target["references"] = layers
    event = {
        "id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "action": action,
        "target": target,
        "request": {"addr": "10.42.17.203:49152", "useragent": case.agent},
        "actor": {"name": case.actor},
        "source": {"instanceID": "7b65348f-3534-463e-9a0d-6224827d823b"},
    }
    return json.dumps({"events": [event]}).encode()
