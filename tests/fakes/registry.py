"""An in-process CNCF Distribution over real HTTP, faithful to what was measured of 2.8, 3.1.1 and 3."""

import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Self

from service.domain.oci.manifest import OCI_INDEX
from tests.fakes.faults import Faults
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.login import Login
from tests.fakes.notifier import Caused, Notifier
from tests.fakes.registry_disk import StoredManifest
from tests.fakes.registry_http import Exchange, RecordedRequest
from tests.fakes.registry_storage import Collected, Driver, Storage, Version

__all__ = ["FakeRegistry", "Login", "RecordedRequest"]


_GC = """
import sys, urllib.request
url = sys.argv[1] + ("?dry-run" if "--dry-run" in sys.argv else "")
print(urllib.request.urlopen(url).read().decode(), end="")
"""


class FakeRegistry:
    """A registry on 127.0.0.1 and a free port, from `with` until its end.

    page_size: what a listing without `n` is cut to (tags: only 3 pages at all); readonly: writes and deletes are
    answered 405 in plain text; login: who may come in; tls: certificate and key, in PEM; notify: called with each
    envelope before the request is answered; notify_url, notify_token: or POSTed there by a thread, one at a time,
    until taken; references: events say what a manifest references; disk: tags and manifests are kept in this folder.
    max_tags, max_entries: `tags.maxtags` and `catalog.maxentries`. driver, sparse_indexes, refuses_crossed_pushes: see
    Storage.
    """

    def __init__(
        self,
        version: Version = "2.8",
        *,
        delete_enabled: bool = True,
        readonly: bool = False,
        page_size: int | None = None,
        login: Login | None = None,
        tls: tuple[Path, Path] | None = None,
        notify: Callable[[dict[str, Any]], object] | None = None,
        notify_url: str | None = None,
        notify_token: str | None = None,
        references: bool = False,
        disk: Path | None = None,
        driver: Driver = "filesystem",
        max_tags: int | None = None,
        max_entries: int = 1000,
        sparse_indexes: bool = False,
        refuses_crossed_pushes: bool = False,
    ) -> None:
        self.version = version
        self.delete_enabled = delete_enabled
        self.readonly = readonly
        self.page_size = page_size
        self.max_tags = max_tags
        self.max_entries = max_entries
        self.login = login
        self.storage = Storage(
            version, disk, driver, sparse_indexes=sparse_indexes, refuses_crossed_pushes=refuses_crossed_pushes
        )
        self.faults = Faults()
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.closing = Event()
        self.uploads: dict[str, bytes] = {}
        self.meanwhile: list[Callable[[], object]] = []
        self._lock = Lock()
        self._server = _Server(self, tls)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.notifier = Notifier(
            version, self.host, receive=notify, url=notify_url, token=notify_token, references=references
        )
        self._thread = Thread(target=self._server.serve_forever, args=(0.005,), name="fake registry", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.disconnect()
        self.notifier.close()
        self._thread.join()

    # What a test plants.

    def fail_next(
        self,
        method: str,
        path_regex: str = "",
        *,
        status: int = 503,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int | None = 1,
    ) -> None:
        """Answer the next `times` requests that match (method "*": any) with this instead of handling them."""
        self.faults.plant("fail", method, path_regex, times, status=status, headers=headers or {}, body=body)

    def drop_connection(
        self, method: str, path_regex: str = "", *, handled: bool = False, times: int | None = 1
    ) -> None:
        """Close the connection instead of answering; handled: only after doing what was asked."""
        self.faults.plant("lose answer" if handled else "drop", method, path_regex, times)

    def delay(self, method: str, path_regex: str = "", *, seconds: float, times: int | None = 1) -> None:
        """Let the next matching requests wait, at most until the fake is closed."""
        self.faults.plant("delay", method, path_regex, times, seconds=seconds)

    def before(self, method: str, path_regex: str, call: Callable[[], object], *, times: int | None = 1) -> None:
        """Call `call` when such a request has come in, before it is handled."""
        self.faults.plant("before", method, path_regex, times, call=call)

    def after(self, method: str, path_regex: str, call: Callable[[], object], *, times: int | None = 1) -> None:
        """Call `call` when such a request has been handled, before it is answered."""
        self.faults.plant("after", method, path_regex, times, call=call)

    def during_delete(self, call: Callable[[], object]) -> None:
        """Call `call` in the middle of the next DELETE by digest, when the tags are looked up and not yet removed."""
        self.meanwhile.append(call)

    # What a test fills it with and reads from it.

    def push_image(
        self, repository: str, tag: str | None, *, seed: object = None, at: datetime | None = None, **mode: Any
    ) -> str:
        """Store an image as the push of a user would, events included, and return its digest.

        seed: repository and tag unless given. at: the time in the events and in the image's config. mode: more for
        make_image.
        """
        image = make_image(seed if seed is not None else f"{repository}:{tag}", created=at, **mode)
        return self.push(repository, tag, image, at=at)

    def push_index(
        self,
        repository: str,
        tag: str | None,
        *,
        platforms: int = 2,
        seed: object = None,
        at: datetime | None = None,
        media_type: str = OCI_INDEX,
    ) -> str:
        """Store an index and its children; return the index's digest."""
        seed = seed if seed is not None else f"{repository}:{tag}"
        return self.push(repository, tag, make_index(seed, platforms=platforms, media_type=media_type), at=at)

    def push(
        self,
        repository: str,
        tag: str | None,
        image: Image,
        *,
        at: datetime | None = None,
        agent: str = "docker/27.3.1",
    ) -> str:
        """Store a prepared image; tag=None: by digest."""
        for child in image.children:
            self.push(repository, None, child, at=at, agent=agent)
        cause = Caused("PUT", self.host, useragent=agent, actor=self.login.username if self.login else "", at=at)
        for blob in image.blobs:
            self.put_blob(repository, blob, cause)
        self.put_manifest(repository, tag or image.digest, image.media_type, image.manifest, cause)
        return image.digest

    def tags(self, repository: str) -> dict[str, str]:
        """tag -> digest."""
        with self.storage.lock:
            held = self.storage.repositories.get(repository)
            return dict(held.tags.items()) if held else {}

    def manifests(self, repository: str) -> dict[str, StoredManifest]:
        """digest -> manifest, tagged or not."""
        with self.storage.lock:
            held = self.storage.repositories.get(repository)
            return dict(held.manifests) if held else {}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event emitted so far, delivered or not."""
        return self.notifier.events

    def wait_delivered(self, timeout_s: float = 240.0) -> None:
        """Wait until every notification so far was accepted."""
        self.notifier.wait_delivered(timeout_s)

    def count(self, user_agent_prefix: str = "", method: str = "", path_part: str = "") -> int:
        """The number of requests so far from such a client."""
        return sum(
            request.user_agent.startswith(user_agent_prefix)
            and method in ("", request.method)
            and path_part in request.path
            for request in list(self.requests)
        )

    def collect(self) -> tuple[str, ...]:
        """A garbage collection: the digests of the blobs it swept."""
        return self.storage.collect()

    def garbage_collect(self, *, dry_run: bool = False) -> Collected:
        """Run garbage-collect, with all that it prints."""
        return self.storage.garbage_collect(dry_run=dry_run)

    @property
    def gc_command(self) -> list[str]:
        """A `gc.command` that runs garbage-collect on this registry and prints its output."""
        return [sys.executable, "-c", _GC, f"{self.url}/fake/garbage-collect"]

    # What the HTTP side does through it.

    def put_blob(self, repository: str, content: bytes, cause: Caused, digest: str | None = None) -> str:
        stored = self.storage.put_blob(repository, content, digest)
        self.notifier.blob("push", repository, stored, len(content), cause)
        return stored

    def put_manifest(
        self, repository: str, reference: str, media_type: str, content: bytes, cause: Caused
    ) -> StoredManifest:
        manifest = self.storage.put_manifest(repository, reference, media_type, content)
        self.notifier.manifest("push", repository, manifest, None if ":" in reference else reference, cause)
        return manifest

    def record(self, request: RecordedRequest) -> None:
        with self._lock:
            self.requests.append(request)

    def accepted(self) -> None:
        with self._lock:
            self.connections += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, fake: FakeRegistry, tls: tuple[Path, Path] | None) -> None:
        self.fake = fake
        self._open = set[socket.socket]()
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        super().__init__(("127.0.0.1", 0), Exchange)

    def get_request(self) -> tuple[Any, Any]:
        """Count connections; the TLS handshake is left to the thread that reads."""
        connection, address = super().get_request()
        self.fake.accepted()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:
        self._open.discard(request)
        super().close_request(request)

    def disconnect(self) -> None:
        """Close the connections that clients keep: each has a thread and two sockets."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error of a planted call, which the client sees as a lost connection. A client may go away."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError, ssl.SSLError)):
            super().handle_error(request, client_address)
