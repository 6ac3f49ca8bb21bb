"""Pruning one repository on a registry that deletes single tags (Distribution 3), beside 8 threads that only DELETE.

The registry is a fake in a process of its own: a DELETE waits as long as it took on the real one (service/README.md).
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

from service.prune.deleting import delete
from service.prune.planning import enforce
from service.reconcile.compare import compare
from service.settings import load_settings
from service.wiring import wire
from tests.bench.figure import Figure
from tests.bench.prune import KEPT, REPOSITORY, THREADS, delete_by_threads, make_images
from tests.conftest import Messages, keep_last
from tests.fakes.images import Image
from tests.fakes.pusher import Pusher
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import Valkey

TAGS, TIMES = 1_000, 8.0
# Seconds of a DELETE by digest, and more for each tag of the repository; of a DELETE by tag. The real registry answers
# 8 threads 1.25 times as fast as one, so that these waits, one after the other, are shorter by that.
_DIGEST_S, _EACH_TAG_S, _TAG_S = 0.0012, 0.000028, 0.001


def measure() -> Iterator[Figure]:
    """Measure both in turns, each with a registry of its own that was filled alike."""
    pushed = make_images(TAGS)
    theirs, ours = by_threads(pushed), by_deletion(pushed)
    ratio = theirs / ours
    yield Figure(f"seconds for {TAGS:,} → {KEPT} tags by {THREADS} threads, fake of version 3", f"{theirs:.1f} s")
    yield Figure("…by us through the API, once it is known what goes", f"{ours:.1f} s")
    measured = f"{ratio:.2f}× (by the waits of the registry alone {_most():.1f}×)"
    yield Figure("how much faster where tags are deleted alone", measured, f"≥ {TIMES:g}×", ratio >= TIMES)


def _most() -> float:
    """Return the ratio if nothing but the DELETEs took time."""
    theirs_s = sum(_DIGEST_S + _EACH_TAG_S * tags for tags in range(KEPT + 1, TAGS + 1))
    ours_s = (TAGS - KEPT) * (_TAG_S + _DIGEST_S + _EACH_TAG_S * KEPT)
    return theirs_s / ours_s


def by_threads(pushed: tuple[tuple[str, Image], ...]) -> float:
    """Return the seconds from the first DELETE to the last answer."""
    with _registry(pushed) as url:
        taken_s = delete_by_threads(url, [(REPOSITORY, image.digest) for _, image in pushed[:-KEPT]])
        _verify(url, pushed)
        return taken_s


def by_deletion(pushed: tuple[tuple[str, Image], ...]) -> float:
    """Return the seconds of the worker's task. The plan was made before."""
    with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as name, _registry(pushed) as url:
        with Valkey(Path(name) / "redis", append_only=True) as valkey:
            rule = {"name": "last", "keep": {"last": KEPT}, "order": "name"}
            settings = load_settings(
                environ={}, redis={"url": valkey.url}, registry={"url": url}, data_dir=Path(name) / "data",
                log={"format": "json", "level": "warning"}, policy=keep_last(KEPT, first_plan="apply", rules=[rule]),
                reconcile={"late": "0s"},  # nobody reports a push
            )  # fmt: skip
            wiring = replace(wire(settings), dispatch=Messages())
            wiring.store.connection.client.config_set("appendfsync", "everysec")  # as in production
            compare(wiring.store, wiring.registry, wiring.store.history.snapshot(REPOSITORY))
            enforce(wiring, REPOSITORY)
            assert len(wiring.store.history.doomed(REPOSITORY)) == len(pushed) - KEPT
            # A worker has read these manifests in another process.
            wiring = replace(wire(settings), dispatch=Messages())
            began = time.perf_counter()
            delete(wiring, REPOSITORY)
            taken_s = time.perf_counter() - began
        _verify(url, pushed)
        return taken_s


@contextmanager
def _registry(pushed: tuple[tuple[str, Image], ...]) -> Iterator[str]:
    """Provide the URL of a filled registry in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, pushed), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection, pushed: tuple[tuple[str, Image], ...]) -> None:
    with FakeRegistry("3") as registry:
        for tag, image in pushed:
            registry.push(REPOSITORY, tag, image)
        work = Lock()

        def wait(seconds: float) -> None:
            with work:
                time.sleep(seconds)

        def delete_digest() -> None:
            wait(_DIGEST_S + _EACH_TAG_S * len(registry.tags(REPOSITORY)))

        registry.before("DELETE", "/manifests/sha256:", delete_digest, times=None)
        registry.before("DELETE", "/manifests/(?!sha256:)", lambda: wait(_TAG_S), times=None)
        pipe.send(registry.url)
        # Until the other end is closed.
        pipe.poll(None)


def _verify(url: str, pushed: tuple[tuple[str, Image], ...]) -> None:
    with Pusher(url) as pusher:
        assert pusher.tags(REPOSITORY) == {tag for tag, _ in pushed[-KEPT:]}
