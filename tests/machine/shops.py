"""The registry as the model sees it: in this process, or a real one over HTTP with its storage on disk."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import requests

from service.domain.oci.manifest import OCI_MANIFEST
from tests.fakes.images import Image
from tests.fakes.notifier import Caused
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry
from tests.fakes.receiver import Receiver
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_disk import StoredManifest
from tests.fakes.registry_storage import Driver, Refused, Version
from tests.fakes.valkey import free_port

SHOP = "shop/api"
_AGENT = "docker/29"

Notify = Callable[[dict[str, Any]], object]


class Shop(Protocol):
    """A repository. A refused request raises Refused. When a call returns, all events so far were sent."""

    def tags(self) -> dict[str, str]: ...
    def manifests(self) -> dict[str, StoredManifest]: ...
    def push(self, tag: str | None, image: Image) -> None: ...
    def put(self, reference: str, media_type: str, content: bytes) -> None: ...
    def delete(self, digest: str) -> None: ...
    def untag(self, tag: str) -> None: ...
    def pull(self, tag: str) -> None: ...
    def during_delete(self, calls: list[Callable[[], object]]) -> bool: ...
    def restart(self) -> None: ...
    def tell(self) -> None: ...


class FakeShop:
    """The in-process registry, without its HTTP server."""

    def __init__(
        self, version: Version, notify: Notify, driver: Driver = "filesystem", disk: Path | None = None
    ) -> None:
        self.fake = FakeRegistry(version, notify=notify, references=True, driver=driver, disk=disk)
        self.fake._server.server_close()
        self._starts = 0

    def tags(self) -> dict[str, str]:
        return self.fake.tags(SHOP)

    def manifests(self) -> dict[str, StoredManifest]:
        return self.fake.manifests(SHOP)

    def push(self, tag: str | None, image: Image) -> None:
        self.fake.push(SHOP, tag, image, agent=_AGENT)

    def put(self, reference: str, media_type: str, content: bytes) -> None:
        self.fake.put_manifest(SHOP, reference, media_type, content, self._cause("PUT"))

    def delete(self, digest: str) -> None:
        removed = self.fake.storage.delete_manifest(SHOP, digest, lambda: None)
        self.fake.notifier.deleted(SHOP, self._cause("DELETE"), digest=digest)
        for tag in removed:
            self.fake.notifier.deleted(SHOP, self._cause("DELETE"), tag=tag)

    def untag(self, tag: str) -> None:
        self.fake.storage.delete_tag(SHOP, tag)
        self.fake.notifier.deleted(SHOP, self._cause("DELETE"), tag=tag)

    def pull(self, tag: str) -> None:
        manifest = self.fake.storage.manifest(SHOP, tag)
        self.fake.notifier.manifest("pull", SHOP, manifest, tag, self._cause("GET"))

    def during_delete(self, calls: list[Callable[[], object]]) -> bool:
        """Make these calls in the middle of the next DELETE by digest; False if this registry cannot do that."""
        self.fake.meanwhile[:] = calls
        return True

    def restart(self) -> None:
        """Restart the registry; the first event afterwards shows the restart."""
        self._starts += 1
        self.fake.notifier.instance = f"start {self._starts}"
        self.fake.put_blob(SHOP, b"first sign", self._cause("PUT"))

    def tell(self) -> None:
        """Do nothing: events are sent as they happen."""

    def _cause(self, method: str) -> Caused:
        return Caused(method, self.fake.host, useragent=_AGENT)


class RealShop:
    """A real registry; `tell` waits until all its events were posted, and passes them on."""

    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver()
        self._debug = f"127.0.0.1:{free_port()}"
        folder.mkdir(parents=True)
        config = {"http": {"debug": {"addr": self._debug}}, "notifications": {"events": {"includereferences": True}}}
        self.real = RealRegistry(directory=folder, notify_url=self.receiver.url, config=config)
        self.notify: Notify = bool
        self._told = 0

    def __enter__(self) -> "RealShop":
        self.receiver.__enter__()
        self.real.start()
        self._pusher = Pusher(self.real.url, agent=_AGENT)
        return self

    def __exit__(self, *_: object) -> None:
        self.real.stop()
        self.receiver.__exit__(None, None, None)

    def tags(self) -> dict[str, str]:
        links = self._manifests_folder().glob("tags/*/current/link")
        return {link.parent.parent.name: link.read_text().strip() for link in links}

    def manifests(self) -> dict[str, StoredManifest]:
        links = self._manifests_folder().glob("revisions/sha256/*/link")
        return {stored.digest: stored for stored in (self._stored(link.read_text().strip()) for link in links)}

    def push(self, tag: str | None, image: Image) -> None:
        self._do(lambda: self._pusher.push(SHOP, tag, image))

    def put(self, reference: str, media_type: str, content: bytes) -> None:
        self._do(lambda: self._pusher.put(SHOP, reference, media_type, content))

    def delete(self, digest: str) -> None:
        self._do(lambda: self._pusher.delete(SHOP, digest))

    def untag(self, tag: str) -> None:
        self._do(lambda: self._pusher.delete(SHOP, tag))

    def pull(self, tag: str) -> None:
        self._do(lambda: self._pusher.manifest(SHOP, tag))

    def during_delete(self, calls: list[Callable[[], object]]) -> bool:
        return not calls

    def restart(self) -> None:
        self.real.restart()
        self._do(lambda: self._pusher.push_blob(SHOP, str(time.time_ns()).encode()))

    def tell(self) -> None:
        """Look twice for pending events: one may be on its way from the handler to the queue."""
        quiet = 0
        while quiet < 2:
            quiet = quiet + 1 if self._pending() == 0 else 0
            time.sleep(0.002)
        events = self.receiver.since(self._told)
        self._told += len(events)
        for event in events:
            self.notify({"events": [event]})

    def _do(self, call: Callable[[], object]) -> None:
        try:
            call()
        except AssertionError as error:
            raise Refused(400, "REFUSED", str(error)) from error
        finally:
            self.tell()

    def _pending(self) -> int:
        variables = requests.get(f"http://{self._debug}/debug/vars", timeout=60).json()
        return int(variables["registry"]["notifications"]["endpoints"][0]["Metrics"]["Pending"])

    def _manifests_folder(self) -> Path:
        return self.real.storage_path / "docker/registry/v2/repositories" / SHOP / "_manifests"

    def _stored(self, digest: str) -> StoredManifest:
        hexadecimal = digest.removeprefix("sha256:")
        blobs = self.real.storage_path / "docker/registry/v2/blobs/sha256"
        content = (blobs / hexadecimal[:2] / hexadecimal / "data").read_bytes()
        return StoredManifest(digest, json.loads(content).get("mediaType", OCI_MANIFEST), content)
