"""Deliver the fake registry's notifications as Distribution does: one event at a time, until it is accepted."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, Queue
from threading import Condition, Event, RLock, Thread
from typing import Any

import requests

from tests.fakes.registry_disk import StoredManifest
from tests.fakes.registry_storage import Version

_BACKOFF_S = 0.05


@dataclass(frozen=True)
class Caused:
    """The request that an event tells of. at: what its timestamp says; None is now."""

    method: str
    host: str
    address: str = "127.0.0.1:50000"
    useragent: str = ""
    actor: str = ""
    at: datetime | None = None


class Notifier:
    """A sender of events: each is in `events`, then handed to `receive`, posted to `url` by a thread, or dropped."""

    def __init__(
        self,
        version: Version,
        address: str,
        *,
        receive: Callable[[dict[str, Any]], object] | None = None,
        url: str | None = None,
        token: str | None = None,
        references: bool = False,
    ) -> None:
        """receive: takes an envelope; url, token: where to POST it, and the bearer token to send along; references:
        whether events say what a manifest references (`includereferences`)."""
        self._references = references
        self.events: list[dict[str, Any]] = []
        self.instance = str(uuid.uuid4())
        self._version = version
        self._address = address
        self._receive = receive
        self._url = url
        self._headers = {"User-Agent": "Go-http-client/1.1", "Connection": "close"}
        self._headers["Content-Type"] = (
            f"application/vnd.docker.distribution.events.v{1 if version == '2.8' else 2}+json"
        )
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._lock = RLock()
        self._queue: Queue[dict[str, Any]] = Queue()
        self._undelivered = 0
        self._delivered = Condition()
        self._closing = Event()
        self._thread = Thread(target=self._deliver, name="notifications", daemon=True)
        if url is not None:
            self._thread.start()

    def blob(self, action: str, name: str, digest: str, size: int, cause: Caused, source: str | None = None) -> None:
        """A blob pushed, pulled, or mounted from the repository `source`."""
        target = self._target("application/octet-stream", digest, size, name)
        if source is not None:
            target["fromRepository"] = source
        target["url"] = f"http://{cause.host}/v2/{name}/blobs/{digest}"
        self._emit(action, target, cause)

    def manifest(self, action: str, name: str, manifest: StoredManifest, tag: str | None, cause: Caused) -> None:
        """A manifest pushed or pulled, by tag or by digest."""
        target = self._target(manifest.media_type, manifest.digest, len(manifest.content), name)
        target["url"] = f"http://{cause.host}/v2/{name}/manifests/{manifest.digest}"
        if self._references:
            target["references"] = _references_of(json.loads(manifest.content))
        self._emit(action, target | ({"tag": tag} if tag else {}), cause)

    def deleted(self, name: str, cause: Caused, *, digest: str = "", tag: str = "") -> None:
        """A blob or manifest (digest) or a tag (tag) deleted. 3 sends the empty fields, 2.8 leaves them out."""
        target: dict[str, Any] = {"mediaType": "", "digest": digest, "size": 0} if self._version != "2.8" else {}
        if digest:
            target["digest"] = digest
        target["repository"] = name
        self._emit("delete", target | ({"tag": tag} if tag else {}), cause)

    def wait_delivered(self, timeout_s: float = 240.0) -> None:
        """Wait until everything emitted so far was accepted."""
        with self._delivered:
            if not self._delivered.wait_for(lambda: self._undelivered == 0, timeout_s):
                raise AssertionError(f"{self._undelivered} notifications are still waiting after {timeout_s:g} s")

    def close(self) -> None:
        """Restart: the queue is lost, as in the real registry."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _target(self, media_type: str, digest: str, size: int, name: str) -> dict[str, Any]:
        named = {"size": size, "digest": digest} if self._version == "2.8" else {"digest": digest, "size": size}
        return {"mediaType": media_type, **named, "length": size, "repository": name}

    def _emit(self, action: str, target: dict[str, Any], cause: Caused) -> None:
        at = (cause.at or datetime.now(UTC)).astimezone(UTC)
        event = {
            "id": str(uuid.uuid4()),
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z",
            "action": action,
            "target": target,
            "request": {
                "id": str(uuid.uuid4()),
                "addr": cause.address,
                "host": cause.host,
                "method": cause.method,
                "useragent": cause.useragent,
            },
            "actor": {"name": cause.actor} if cause.actor else {},
            "source": {"addr": self._address, "instanceID": self.instance},
        }
        with self._lock:
            self.events.append(event)
            if self._url is not None:
                with self._delivered:
                    self._undelivered += 1
                self._queue.put({"events": [event]})
            elif self._receive is not None:
                self._receive({"events": [event]})

    def _deliver(self) -> None:
        while not self._closing.is_set():
            try:
                envelope = self._queue.get(timeout=_BACKOFF_S)
            except Empty:
                continue
            while not self._post(envelope):
                if self._closing.wait(_BACKOFF_S):
                    return
            with self._delivered:
                self._undelivered -= 1
                self._delivered.notify_all()

    def _post(self, envelope: dict[str, Any]) -> bool:
        """True if it counts as delivered: 2xx and 3xx do (service/README.md, Delivery)."""
        try:
            answer = requests.post(
                str(self._url), json=envelope, headers=self._headers, timeout=240, allow_redirects=False
            )
        except requests.RequestException:
            return False
        return 200 <= answer.status_code < 400


def _references_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Config and layers of an image, children of an index: not its subject. 2.8 drops `platform`; we do for both."""
    listed = body["manifests"] if "manifests" in body else [body["config"], *body["layers"]]
    return [{name: part[name] for name in ("mediaType", "digest", "size")} for part in listed]
