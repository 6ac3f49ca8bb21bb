"""Prune one large repository by pushprune, and by 8 threads with bare DELETEs, and compare their times.

The target is for like and like: both know what is to go, and the registry tells nobody. Ours goes through the API
alone, with the registry's storage mounted to look at, and over that storage. Beside it stands the whole system, through
the API alone, from the change of its policy, with a registry that notifies of each step on the same cores.
"""

import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
import yaml

from service.prune.deleting import delete
from service.prune.planning import enforce
from service.reconcile.compare import compare
from service.settings import load_settings
from service.wiring import Wiring, wire
from tests.bench.figure import Figure
from tests.conftest import Messages, keep_last
from tests.fakes.images import Image, make_image, variant
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry
from tests.fakes.valkey import Valkey
from tests.live.conftest import LiveSystem, last, wait_until

REPOSITORY = "shop/api"
KEPT = 10
THREADS = 8
TARGETS = {1_000: 2.0, 5_000: 6.0}
PATIENCE_S = 1_800.0
_LOOK_S = 0.02
WAYS: dict[str, Collection[str]] = {
    "through the API alone": (),
    "through the API, its storage mounted": {"storage"},
    "over its storage": {"storage", "delete"},
}
_US, _THEM = "pushprune/", "8-threads/"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The time, and the cost for the registry: all requests, and the DELETEs among them."""

    seconds: float
    requests: int
    deletes: int

    @property
    def said(self) -> str:
        return f"{self.seconds:.1f} s, {self.requests:,} requests, {self.deletes:,} of them DELETE"


def measure() -> Iterator[Figure]:
    """Measure both in turns on the same machine, each with a registry of its own that was filled alike."""
    for tags, target in TARGETS.items():
        pushed = make_images(tags)
        mode, theirs = f"{tags:,} → {KEPT} tags", by_threads(pushed)
        yield Figure(f"seconds for {mode} by {THREADS} threads that only DELETE", theirs.said)
        for way, named in WAYS.items():
            ours = by_deletion(pushed, named)
            ratio = theirs.seconds / ours.seconds
            yield Figure(f"…by us {way}, once it is known what goes", ours.said)
            yield Figure(f"how much faster {way}", f"{ratio:.2f}×", f"≥ {target:g}×", ratio >= target)
        whole = by_the_system(pushed)
        yield Figure(f"…by the whole system through the API, from the policy's change, {mode}", whole.said)


def make_images(count: int) -> tuple[tuple[str, Image], ...]:
    """(tag, image), in the order in which they are pushed: a digest for each, over the same blobs."""
    base = make_image("prune")
    return tuple((f"v{number:04}", variant(base, number)) for number in range(count))


def by_threads(pushed: tuple[tuple[str, Image], ...]) -> Pruned:
    """Measure from the first DELETE to the last answer. The registry sends no notifications."""
    with RealRegistry() as registry:
        _fill(registry, pushed)
        doomed = [image.digest for _, image in pushed[:-KEPT]]
        taken_s = delete_by_threads(registry.url, [(REPOSITORY, digest) for digest in doomed])
        _verify(registry, pushed)
        return Pruned(taken_s, registry.request_count(_THEM), registry.request_count(_THEM, "DELETE"))


def by_deletion(pushed: tuple[tuple[str, Image], ...], named: Collection[str]) -> Pruned:
    """Measure the task `delete` of a worker from start to end. The deletions were planned before it starts.

    Args:
        pushed: the images of the repository, whose pushes are not reported: push times are read in the storage.
        named: the sections of the settings that the worker has: `storage` mounts it, `delete` deletes in it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        valkey = stack.enter_context(Valkey(folder / "redis", append_only=True))
        registry = stack.enter_context(RealRegistry())
        _fill(registry, pushed)
        planner, wiring = _wired(valkey, registry, folder, {"storage"}), _wired(valkey, registry, folder, named)
        compare(planner.store, planner.registry, planner.store.history.snapshot(REPOSITORY))
        enforce(planner, REPOSITORY)
        assert len(wiring.store.history.doomed(REPOSITORY)) == len(pushed) - KEPT
        before = registry.request_count(_US)
        began = time.perf_counter()
        delete(wiring, REPOSITORY)
        taken_s = time.perf_counter() - began
        _verify(registry, pushed)
        return Pruned(taken_s, registry.request_count(_US) - before, registry.request_count(_US, "DELETE"))


def _wired(valkey: Valkey, registry: RealRegistry, folder: Path, named: Collection[str]) -> Wiring:
    """Build a wiring that keeps the messages for the workers instead of sending them."""
    ways: dict[str, Any] = {"storage": {"path": str(registry.storage_path)}, "delete": {"via": "storage"}}
    settings = load_settings(
        environ={}, redis={"url": valkey.url}, registry={"url": registry.url}, data_dir=folder / "data",
        log={"format": "json", "level": "warning"}, policy=keep_last(KEPT, first_plan="apply"),
        **{section: way for section, way in ways.items() if section in named},
    )  # fmt: skip
    wiring = replace(wire(settings), dispatch=Messages())
    wiring.store.connection.client.config_set("appendfsync", "everysec")  # as in production
    return wiring


def by_the_system(pushed: tuple[tuple[str, Image], ...]) -> Pruned:
    """Measure from the change of the policy's file until the registry's storage has only what the policy keeps.

    The system is a web process, a worker and Redis beside the registry, which notifies them. The registry's storage is
    not mounted. Before the policy changes, all pushes are recorded and compared, and no work is left.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushprune-bench-")))
        file = folder / "policy.yaml"
        _write(file, {"rules": [{"name": "all", "keep": "always"}]})
        system = LiveSystem(folder, stack, {"policy": str(file), "storage": {}, "log": {"format": "json"}})
        system.store.connection.client.config_set("appendfsync", "everysec")  # as in production
        system.start_worker()
        _fill(system.registry, pushed)
        _come_to_rest(system, {tag for tag, _ in pushed})
        before, deletes = system.registry.request_count(_US), system.registry.request_count(_US, "DELETE")
        began = time.perf_counter()
        _write(file, last(KEPT))
        _await_end(system.registry, pushed)
        taken_s = time.perf_counter() - began
        wait_until(system.quiet, "it does not come to rest")
        _verify(system.registry, pushed)
        made = system.registry.request_count(_US) - before
        return Pruned(taken_s, made, system.registry.request_count(_US, "DELETE") - deletes)


def _fill(registry: RealRegistry, pushed: tuple[tuple[str, Image], ...]) -> None:
    """The blobs once, then one PUT for each tag: by several threads, and the last ones in order."""
    many, kept = pushed[:-KEPT], pushed[-KEPT:]
    with Pusher(registry.url) as pusher:
        for blob in pushed[0][1].blobs:
            pusher.push_blob(REPOSITORY, blob)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda nth: _put_all(registry.url, many[nth::THREADS]), range(THREADS)))
        _put_all(registry.url, kept)


def _put_all(url: str, images: Iterable[tuple[str, Image]]) -> None:
    with Pusher(url) as pusher:
        for tag, image in images:
            pusher.put(REPOSITORY, tag, image.media_type, image.manifest)


def delete_by_threads(url: str, doomed: Sequence[tuple[str, str]]) -> float:
    """Return the seconds from the first DELETE of a (repository, digest) to the last answer."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda nth: _delete_all(url, doomed[nth::THREADS]), range(THREADS)))
    return time.perf_counter() - began


def _delete_all(url: str, doomed: Iterable[tuple[str, str]]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["User-Agent"] = _THEM
        for repository, digest in doomed:
            answer = session.delete(f"{url}/v2/{repository}/manifests/{digest}", timeout=60)
            assert answer.status_code == 202, f"{digest}: {answer.status_code} {answer.text[:200]}"


def _write(file: Path, policy: dict[str, Any]) -> None:
    """Replace the file in one step, as an editor or a ConfigMap does."""
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(policy))
    shutil.move(fresh, file)


def _come_to_rest(system: LiveSystem, tags: set[str]) -> None:
    """Wait until every push was recorded, the history was compared, and no work is left."""
    wait_until(lambda: system.heard(REPOSITORY, tags) and system.quiet(), "the pushes were not heard", PATIENCE_S)
    assert compare(system.store, system.wiring.registry, system.store.history.snapshot(REPOSITORY)).changed == 0, (
        "the history was wrong"
    )
    assert system.store.history.snapshot(REPOSITORY).compared
    assert not system.registry.request_count(_US, "DELETE"), "something was deleted while everything is kept"


def _await_end(registry: RealRegistry, pushed: tuple[tuple[str, Image], ...]) -> None:
    """Look at the storage only. The manifests are looked at once the tags are right: each until it is deleted."""
    end = time.monotonic() + PATIENCE_S
    kept, doomed = {tag for tag, _ in pushed[-KEPT:]}, [image.digest for _, image in pushed[:-KEPT]]
    while registry.tag_names(REPOSITORY) != kept or any(registry.has_manifest(REPOSITORY, item) for item in doomed):
        assert time.monotonic() < end, f"{len(registry.tag_names(REPOSITORY))} tags are left"
        time.sleep(_LOOK_S)


def _verify(registry: RealRegistry, pushed: tuple[tuple[str, Image], ...]) -> None:
    """The last ones are all there is, and each is whole."""
    with Pusher(registry.url) as pusher:
        assert pusher.tags(REPOSITORY) == {tag for tag, _ in pushed[-KEPT:]}
        for tag, image in pushed[-KEPT:]:
            assert pusher.pull_whole(REPOSITORY, tag) == image.digest
    assert registry.manifests(REPOSITORY) == {image.digest for _, image in pushed[-KEPT:]}
