"""Pushers without pause: skopeo and plain HTTP; shared layers, multi-arch, mounts, layers that come back, and twins."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import requests

from tests.fakes.images import Image, image_over, index_over, noise, oci_layout, sha256
from tests.fakes.pusher import BrokenImage, Pusher

LAYER_BYTES = 20_000
APP, MULTI, MOUNTED, COPIED, TWINS = "stress/app", "stress/multi", "stress/mounted", "stress/copied", "stress/twins"
AGAIN, SLOW = "stress/again", "stress/slow"
REPOSITORIES = (APP, MULTI, MOUNTED, COPIED, TWINS, AGAIN, SLOW)
_BASE = noise("base", LAYER_BYTES)
_TRIES = 5


@dataclass
class Load:
    """`count` pushers through `url`.

    Attributes:
        pause_s: after each push, for a storage that is slower than the pushers.
        kinds: of pushers, instead of the first `count`.
        was_pruned: True if pushprune deleted this manifest (repository, digest) because a policy no longer kept it.
        youth_s: of gc.youth. A push that takes longer may be refused.
        failed: one sentence each.
        slowest_s: the longest time of a push.
        last: the tag that each pusher pushed last.
    """

    url: str
    folder: Path
    skopeo_push: Callable[[str, str, Path], None]
    count: int = 5
    pause_s: float = 0
    kinds: tuple[str, ...] = ()
    was_pruned: Callable[[str, str], bool] = lambda repository, digest: False
    youth_s: float = float("inf")
    failed: list[str] = field(default_factory=list)
    pushed: int = 0
    slowest_s: float = 0
    last: dict[str, tuple[str, str]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        pushers = {"app": self._app, "multi": self._multi, "mount": self._mount, "copy": self._copy}
        pushers |= {"twins": self._twins, "again": self._again, "slow": self._slow, "blind": self._blind}
        chosen = [(name, pushers[name]) for name in self.kinds or list(pushers)[: self.count]]
        self._threads = [threading.Thread(target=self._push, args=each, name=each[0]) for each in chosen]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _push(self, name: str, push: Callable[[int], tuple[str, str]]) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            begun = time.monotonic()
            try:
                self.last[name] = push(number)
                self.pushed += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            except Exception as error:  # noqa: BLE001 - whatever it is, a push has failed
                if time.monotonic() - begun < self.youth_s:
                    self.failed.append(f"{name} {number}: {str(error)[:300]}")
            self.over.wait(self.pause_s)

    def _client(self, name: str) -> Pusher:
        """A machine of its own, as far as anybody can tell."""
        return Pusher(self.url, agent=f"docker/27 ({name})")

    def _app(self, number: int) -> tuple[str, str]:
        """A base that all share, and a layer that was deleted and comes back."""
        with self._client("app") as client:
            client.push(APP, f"a{number}", image_over([_BASE, _module(number)], f"app {number % 24}"))
        return APP, f"a{number}"

    def _multi(self, number: int) -> tuple[str, str]:
        turn = number % 16
        children = [
            image_over([_BASE, _module(number), noise(f"{turn} {arch}", LAYER_BYTES)], turn, architecture=arch)
            for arch in ("amd64", "arm64")
        ]
        index = index_over(children, seed=turn)
        with self._client("multi") as client:
            _push_whole(client, MULTI, f"m{number}", index, self._met_a_deletion(index))
        return MULTI, f"m{number}"

    def _met_a_deletion(self, index: Image) -> Callable[[str], bool]:
        """True for a refusal of an index one of whose parts a policy deleted right after it was pushed again.

        A deletion by policy may be under way when the part comes: it is reported some milliseconds later.
        """
        parts = [child.digest for child in index.children]
        return lambda refusal: any(part in refusal and self.was_pruned(MULTI, part) for part in parts)

    def _mount(self, number: int) -> tuple[str, str]:
        image = image_over([_BASE, _module(number), noise(f"own {number % 10}", LAYER_BYTES)], f"mounted {number % 10}")
        with self._client("mount") as client:
            for blob in image.blobs[1:3]:
                if not self._mounted(blob):
                    client.push_blob(MOUNTED, blob)
            client.push_blob(MOUNTED, image.blobs[0])
            client.push_blob(MOUNTED, image.blobs[3])
            client.put(MOUNTED, f"t{number}", image.media_type, image.manifest)
        return MOUNTED, f"t{number}"

    def _mounted(self, blob: bytes) -> bool:
        """True if the blob was mounted from the other repository; otherwise an upload was begun, and is given up."""
        place = f"/v2/{MOUNTED}/blobs/uploads/?mount={sha256(blob)}&from={APP}"
        headers = {"User-Agent": "docker/27 (mount)"}
        answer = requests.post(urljoin(self.url, place), headers=headers, timeout=120)
        if answer.status_code not in (201, 202):
            raise AssertionError(f"mount: {answer.status_code} {answer.text[:200]}")
        return answer.status_code == 201

    def _copy(self, number: int) -> tuple[str, str]:
        image = image_over([_BASE, _module(number), noise(f"copied {number % 8}", LAYER_BYTES)], f"copied {number % 8}")
        layout = self.folder / f"layout-{number % 24}"
        if not layout.exists():
            oci_layout(layout, image)
        self.skopeo_push(COPIED, f"s{number}", layout)
        return COPIED, f"s{number}"

    def _again(self, number: int) -> tuple[str, str]:
        """The same few images again and again: they are pushed while they are deleted."""
        with self._client("again") as client:
            _push_whole(client, AGAIN, f"r{number}", _repeated(number))
        return AGAIN, f"r{number}"

    def _slow(self, number: int) -> tuple[str, str]:
        """HEAD of each blob first; what is there is skipped, and the manifest comes a while later."""
        image = image_over([_BASE, _module(number), noise(f"slow {number % 7}", LAYER_BYTES)], f"slow {number % 7}")
        with self._client("slow") as client:
            for blob in image.blobs:
                client.push_blob(SLOW, blob)
            self.over.wait(number % 5 / 5)
            client.put(SLOW, f"h{number}", image.media_type, image.manifest)
        return SLOW, f"h{number}"

    def _blind(self, number: int) -> tuple[str, str]:
        """Push only a manifest. If the registry refuses it because a blob was deleted, push the image."""
        image = _repeated(number * 5)
        with self._client("blind") as client:
            try:
                client.put(AGAIN, f"b{number}", image.media_type, image.manifest)
            except AssertionError as error:
                if ": 400 " not in str(error):
                    raise
                _push_whole(client, AGAIN, f"b{number}", image)
        return AGAIN, f"b{number}"

    def _twins(self, number: int) -> tuple[str, str]:
        """Two of one machine with one client, at once: the same tag, the same blobs, and nothing to tell them apart."""
        layers = [_BASE, _module(number), noise(f"twins {number % 10}", LAYER_BYTES)]
        image, together = image_over(layers, f"twins {number % 10}"), threading.Barrier(2)

        def push(_: int) -> None:
            together.wait(300)
            with self._client("twin") as client:
                _push_whole(client, TWINS, f"w{number}", image)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(push, range(2)))
        return TWINS, f"w{number}"


def _push_whole(
    client: Pusher, repository: str, tag: str, image: Image, is_excused: Callable[[str], bool] = lambda refusal: False
) -> None:
    """Push an image to a repository to which others push the same image.

    The registry reads a blob's link while another one's upload writes it anew. On 2.8.3, without any collector, it took
    the blob for unknown in 9 of 800 pushes of twins, and answered 500 to 71 of 2,976 HEADs: after these two answers,
    one that is excused, and no other, the image is sent again.
    """
    for left in reversed(range(_TRIES)):
        try:
            client.push(repository, tag, image)
        except AssertionError as error:
            refusal = str(error)
            is_torn = "DIGEST_INVALID" in refusal or (refusal.startswith("HEAD") and ": 500 " in refusal)
            if not left or not (is_torn or is_excused(refusal)):
                raise
        else:
            return


def _repeated(number: int) -> Image:
    """Return one of six images for a while, then of others: each is pushed again after its data was deleted."""
    name = f"again {number % 6} {int(time.monotonic()) // 15 % 4}"
    return image_over([_BASE, _module(number % 6), noise(name, LAYER_BYTES)], name)


def _module(number: int) -> bytes:
    """Return one of twelve layers. Each comes back after the images that had it were deleted."""
    return noise(f"module {number % 12}", LAYER_BYTES)


def broken(url: str) -> Iterator[str]:
    """Every image that the registry lists and cannot give back whole."""
    with Pusher(url) as client:
        for repository in REPOSITORIES:
            for tag in sorted(client.tags(repository)):
                try:
                    client.pull_whole(repository, tag)
                except BrokenImage as error:
                    yield str(error)


def every(seconds: float, what: Callable[[], object], ended: threading.Event) -> threading.Thread:
    """Call a function again and again in a thread until the end of the load."""

    def again() -> None:
        while not ended.wait(seconds):
            what()

    thread = threading.Thread(target=again, name="every")
    thread.start()
    return thread


def for_at_least(seconds: float, enough: Callable[[], bool], at_most_s: float) -> None:
    """Wait for so long, and until it is enough."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds or not enough():
        assert time.monotonic() < begun + at_most_s, "it is never enough"
        time.sleep(0.1)
