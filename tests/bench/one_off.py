"""`pushprune prune --registry URL` on a registry that no service watches, beside 8 threads that only DELETE.

The command knows nothing before it starts: it reads every tag and when each image was made, and proves each tag right
before its deletion.
The threads know every digest already.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.prune import KEPT, THREADS, delete_by_threads
from tests.fakes.images import Image, make_image
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry

ROOT = Path(__file__).parents[2]
# Repository → (tag, image), in the order of their pushes.
Pushes = dict[str, list[tuple[str, Image]]]
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """A registry to prune: the number of repositories, the tags in each, and the most that the command may cost."""

    repositories: int
    tags: int
    times: float
    requests: int

    @property
    def name(self) -> str:
        named = f"{self.repositories} repositories × " if self.repositories > 1 else ""
        return f"{named}{self.tags:,} → {KEPT} tags"


SHAPES = (Shape(1, 1_000, 1.3, 5_000), Shape(50, 40, 3.0, 7_200))


@dataclass(frozen=True)
class Cost:
    """The time and the requests of one run, by method and status."""

    seconds: float
    first_s: float
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def said(self) -> str:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.requests.most_common())
        return f"{self.seconds:.1f} s, {self.requests.total():,} requests ({kinds})"


def measure() -> Iterator[Figure]:
    """The threads and the command take turns, each with a copy of the same registry."""
    for shape in SHAPES:
        with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as name:
            folder, pushed = Path(name), _images(shape)
            (folder / "filled").mkdir()
            with RealRegistry(directory=folder / "filled") as registry:
                _fill(registry, pushed)
            theirs, ours = by_threads(folder, pushed), by_command(folder, pushed)
        yield Figure(f"seconds for {shape.name} by {THREADS} threads that only DELETE", f"{theirs:.1f} s")
        most, count = shape.requests, ours.requests.total()
        yield Figure(f"…by `prune --registry`, {shape.name}", ours.said, f"≤ {most:,} requests", count <= most)
        ratio = ours.seconds / theirs
        yield Figure("its time, in times of theirs", f"{ratio:.2f}×", f"≤ {shape.times:g}×", ratio <= shape.times)
        yield Figure("start to first request", f"{ours.first_s:.2f} s", "≤ 0.6 s", ours.first_s <= 0.6)


def by_threads(folder: Path, pushed: Pushes) -> float:
    """Return the seconds from the first DELETE to the last answer."""
    with _copied(folder) as registry:
        doomed = [(name, image.digest) for name, images in pushed.items() for _, image in images[:-KEPT]]
        taken_s = delete_by_threads(registry.url, doomed)
        _verify(registry, pushed)
        return taken_s


def by_command(folder: Path, pushed: Pushes, code: Path = ROOT) -> Cost:
    """Return the cost of the whole command, from the start of its process to its end.

    Args:
        folder: contains the filled registry.
        pushed: its images.
        code: the checkout whose command is measured.
    """
    with _copied(folder) as registry:
        offset = registry.log_path.stat().st_size
        began_s, at = time.monotonic(), time.time()
        ended = subprocess.run(
            [sys.executable, "-m", "service", "prune", "--registry", registry.url, "--keep-last", str(KEPT), "--yes"],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(code)}, cwd=folder,
        )  # fmt: skip
        taken_s = time.monotonic() - began_s
        assert ended.returncode == 0, ended.stderr
        with registry.log_path.open() as log:
            log.seek(offset)
            lines = log.read().splitlines()
        _verify(registry, pushed)
    return Cost(taken_s, _first_at(lines) - at, _requests(lines))


@contextmanager
def _copied(folder: Path) -> Iterator[RealRegistry]:
    """Provide a registry with a copy of the filled storage."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        shutil.copytree(folder / "filled" / "storage", Path(name) / "storage")
        with RealRegistry(directory=Path(name)) as registry:
            yield registry


def _requests(lines: list[str]) -> Counter[str]:
    pattern = re.compile(r'"(GET|HEAD|PUT|POST|DELETE|PATCH) (\S+) [^"]*" (\d+) .*"pushprune/')
    matches = (pattern.search(line) for line in lines)
    return Counter(f"{match[1]} {_kind(match[2])} {match[3]}" for match in matches if match)


def _kind(path: str) -> str:
    return next((kind for kind in ("manifests", "blobs", "tags/list", "_catalog") if kind in path), "ping")


def _first_at(lines: list[str]) -> float:
    """Return the time of the first request, in seconds since the epoch."""
    for line in lines:
        if match := re.search(r'time="([^"]+)".*pushprune/', line):
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", match[1])).timestamp()
    return 0.0


def _images(shape: Shape) -> Pushes:
    """Return images of which each was made a minute after the one before."""
    return {
        f"shop/app{place}": [
            (f"v{number:04}", make_image(f"{place} {number}", created=_FIRST + timedelta(minutes=number)))
            for number in range(shape.tags)
        ]
        for place in range(shape.repositories)
    }


def _fill(registry: RealRegistry, pushed: Pushes) -> None:
    with Pusher(registry.url) as pusher:
        for name, images in pushed.items():
            for tag, image in images:
                pusher.push(name, tag, image)


def _verify(registry: RealRegistry, pushed: Pushes) -> None:
    with Pusher(registry.url) as pusher:
        for name, images in pushed.items():
            assert pusher.tags(name) == {tag for tag, _ in images[-KEPT:]}
