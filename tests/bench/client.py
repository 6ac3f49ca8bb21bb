"""A client that pushes without pause through the proxy, as a process of its own: how long its writes take."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import requests

from service.process.die_with_parent import die_with_parent
from tests.bench.figure import median
from tests.bench.gate import blob_ms, manifest_ms
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher

_REPOSITORY = "bench/client"


@dataclass(frozen=True)
class Period:
    """The writes of one period: their number, the median time and the longest one, in ms."""

    count: int
    median_ms: float
    longest_ms: float


class BusyClient:
    """The process, from `running` to its end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @classmethod
    @contextmanager
    def running(cls, url: str) -> Iterator["BusyClient"]:
        command = die_with_parent([sys.executable, "-m", __name__, url])
        folder, pipe = Path(__file__).parents[2], subprocess.PIPE
        process = subprocess.Popen(command, cwd=folder, text=True, stdin=pipe, stdout=pipe)
        try:
            yield cls(process)
        finally:
            process.kill()
            process.wait()

    def period(self) -> Period:
        """End a period, and begin the next one."""
        assert self._process.stdin
        assert self._process.stdout
        print(file=self._process.stdin, flush=True)
        return Period(**json.loads(self._process.stdout.readline()))


def _push(url: str) -> None:
    image, took_ms = make_image("client"), list[float]()
    with Pusher(url) as pusher:
        pusher.push(_REPOSITORY, "v1", image)
    with requests.Session() as session:
        for number in count():
            took_ms.append(blob_ms(session, url, f"client {number}".encode() * 100, _REPOSITORY))
            took_ms.append(manifest_ms(session, url, image.media_type, image.manifest, _REPOSITORY))
            if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline():
                print(json.dumps(vars(Period(len(took_ms), median(took_ms), max(took_ms)))), flush=True)
                took_ms = []


if __name__ == "__main__":
    _push(sys.argv[1])
