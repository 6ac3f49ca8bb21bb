"""The cost of the open gate for a blob's PUT and a manifest's: the registry alone, behind nginx, behind the gate."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import requests

from tests.bench.figure import Figure, median
from tests.fakes.images import make_image, sha256
from tests.fakes.nginx import Nginx
from tests.fakes.pusher import Pusher
from tests.live.conftest import LiveSystem, last

TARGET_MS = 3.0
ROUNDS = 300
REPOSITORY = "bench/gate"
_OCTETS = {"Content-Type": "application/octet-stream"}


def measure() -> Iterator[Figure]:
    """Alternate the three ways request by request, so that what slows the machine slows them alike."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        system = LiveSystem(folder, stack, {"policy": last(10), "gc": {"gate": "proxy"}})
        bare = stack.enter_context(
            Nginx(folder / "bare", gate_url=system.gate_url, registry_url=system.registry.url, ask=False)
        )
        ways = {"registry": system.registry.url, "nginx": bare.url, "gate": system.url}
        sessions = {name: stack.enter_context(requests.Session()) for name in ways}
        image = make_image("bench")
        with Pusher(system.registry.url) as pusher:
            pusher.push(REPOSITORY, "v1", image)
        blobs: dict[str, list[float]] = {name: [] for name in ways}
        manifests: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name, url in ways.items():
                blobs[name].append(blob_ms(sessions[name], url, f"{number} {name}".encode() * 100))
                manifests[name].append(manifest_ms(sessions[name], url, image.media_type, image.manifest))
    yield _figure("a blob's PUT", blobs)
    yield _figure("a manifest's PUT", manifests)


def _figure(what: str, took_ms: dict[str, list[float]]) -> Figure:
    added = median([ours - bare for ours, bare in zip(took_ms["gate"], took_ms["nginx"], strict=True)])
    message = ", ".join(f"{name} {median(times):.1f} ms" for name, times in took_ms.items())
    whole = median(took_ms["gate"]) - median(took_ms["registry"])
    return Figure(
        f"gate: {what}", f"{added:+.1f} ms to nginx, {whole:+.1f} ms to the registry alone ({message})",
        f"≤ {TARGET_MS:.0f} ms", added <= TARGET_MS,
    )  # fmt: skip


def blob_ms(session: requests.Session, url: str, content: bytes, repository: str = REPOSITORY) -> float:
    """Upload a blob, and return the time of its PUT."""
    begun = session.post(f"{url}/v2/{repository}/blobs/uploads/", timeout=30)
    place = urljoin(url, begun.headers["Location"])
    place += f"{'&' if '?' in place else '?'}digest={sha256(content)}"
    return _timed_ms(session, place, content, _OCTETS)


def manifest_ms(
    session: requests.Session, url: str, media_type: str, content: bytes, repository: str = REPOSITORY
) -> float:
    """Put a manifest, and return the time that it took."""
    return _timed_ms(session, f"{url}/v2/{repository}/manifests/v1", content, {"Content-Type": media_type})


def _timed_ms(session: requests.Session, url: str, content: bytes, headers: dict[str, str]) -> float:
    begun = time.perf_counter()
    message = session.put(url, data=content, headers=headers, timeout=30)
    took = time.perf_counter() - begun
    if message.status_code != 201:
        raise RuntimeError(f"PUT {url}: {message.status_code} {message.text[:200]}")
    return took * 1000
