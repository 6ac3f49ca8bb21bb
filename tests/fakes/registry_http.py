"""One HTTP exchange with the fake registry: the paths of the API v2, their answers and headers."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

from service.domain.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, MANIFEST_TYPES
from service.domain.oci.names import is_repository
from tests.fakes.login import unauthorized
from tests.fakes.notifier import Caused
from tests.fakes.registry_storage import Refused, is_digest

if TYPE_CHECKING:
    from tests.fakes.registry import FakeRegistry

_JSON = "application/json; charset=utf-8"
_ROUTES = (
    (re.compile(r"/v2/_catalog"), "catalog"),
    (re.compile(r"/v2/(?P<name>.+)/tags/list"), "tags"),
    (re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"), "manifest"),
    (re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]*)"), "upload"),
    (re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)"), "blob"),
    (re.compile(r"/v2/?"), "base"),
    (re.compile(r"/fake/garbage-collect"), "collection"),
)


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came in, path with its query, and the status it was answered with (0: dropped)."""

    method: str
    path: str
    user_agent: str
    status: int
    headers: Mapping[str, str]


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Exchange(BaseHTTPRequestHandler):
    """The answers to the requests of one kept-alive connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    timeout = 60

    @property
    def fake(self) -> "FakeRegistry":
        return cast("FakeRegistry", cast(Any, self.server).fake)

    def handle_any(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._handle()
        except Dropped:
            self._record(0)
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: tests read `requests`."""

    def _handle(self) -> None:
        fault = self._meet("before")
        if fault is not None:
            fault.call()
        delay = self._meet("delay")
        if delay is not None:
            self.fake.closing.wait(delay.seconds)
        if self._meet("drop") is not None or self.fake.closing.is_set():
            raise Dropped
        failure = self._meet("fail")
        if failure is not None:
            self._answer(failure.status, failure.body, dict(failure.headers))
            return
        try:
            if self._let_in():
                self._route()
        except Refused as refused:
            self._answer(refused.status, refused.body, {"Content-Type": _JSON})

    def _meet(self, kind: Any) -> Any:
        return self.fake.faults.take(kind, self.command, self.path)

    def _let_in(self) -> bool:
        login = self.fake.login
        path = urlsplit(self.path).path
        authorization = self.headers.get("Authorization")
        if login is None:
            return True
        if path == "/token":
            granted = login.token(self.command, self.path, authorization, self._body)
            self._answer(200, json.dumps(granted).encode(), {"Content-Type": "application/json"})
            return False
        challenge = login.challenge(authorization, self.command, path, self._base())
        if challenge is not None:
            self._answer(401, unauthorized(), {"Content-Type": _JSON, "WWW-Authenticate": challenge})
        return challenge is None

    def _route(self) -> None:
        path = urlsplit(self.path).path
        for pattern, what in _ROUTES:
            result = pattern.fullmatch(path)
            if result is None:
                continue
            where = result.groupdict()
            if "name" in where and not is_repository(where["name"]):
                break
            handler = getattr(self, f"_{self.command}_{what}".lower(), None)
            writes = self.command not in ("GET", "HEAD")
            if handler is None or (writes and self.fake.readonly):
                self._answer(405, b"Method not allowed\n", {"Content-Type": "text/plain; charset=utf-8"})
                return
            handler(**where)
            return
        self._answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})

    def _get_base(self) -> None:
        self._answer(200, b"{}", {"Content-Type": _JSON})

    def _get_collection(self) -> None:
        """Collect the storage: no route of the API, but the one that `gc_command` calls."""
        output = self.fake.garbage_collect(dry_run=urlsplit(self.path).query == "dry-run").output
        self._answer(200, "".join(f"{line}\n" for line in output).encode(), {"Content-Type": "text/plain"})

    def _get_catalog(self) -> None:
        asked, last = self._paging()
        if asked is not None and asked > self.fake.max_entries:
            raise Refused(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": asked})
        size = min(self.fake.page_size or 100, self.fake.max_entries) if asked is None else asked
        page, link = self._page(self.fake.storage.catalog(last), size)
        self._answer(200, _json({"repositories": page}), {"Content-Type": _JSON, **link})

    def _get_tags(self, name: str) -> None:
        """List the tags. 2.8 ignores n and last. Without any tag the main branch answers [], the releases null."""
        link: dict[str, str] = {}
        if self.fake.storage.is_3:
            asked, last = self._paging()
            size = self.fake.page_size if asked is None else min(asked, self.fake.max_tags or asked)
            tags, link = self._page(self.fake.storage.tag_names(name, last), size)
        else:
            tags = self.fake.storage.tag_names(name)
        none: list[str] | None = [] if self.fake.version == "3" else None
        self._answer(200, _json({"name": name, "tags": tags or none}), {"Content-Type": _JSON, **link})

    def _paging(self) -> tuple[int | None, str]:
        """The query's `n`, if there is one, and its `last`."""
        query = parse_qs(urlsplit(self.path).query)
        asked = query.get("n", [""])[0]
        return int(asked) if asked.isdigit() else None, query.get("last", [""])[0]

    def _page(self, following: list[str], size: int | None) -> tuple[list[str], dict[str, str]]:
        if size is None or len(following) <= size:
            return following, {}
        page = following[:size]
        onward = urlencode({"last": page[-1], "n": size}) if page else ""
        return page, {"Link": f'<{urlsplit(self.path).path}?{onward}>; rel="next"'} if page else {}

    def _get_manifest(self, name: str, reference: str) -> None:
        """The condition is looked at before the manifest: of a digest that is not there, too, 304 is said."""
        digest = self.fake.storage.resolve(name, reference)
        if self.headers.get("If-None-Match") in (digest, f'"{digest}"'):
            self._answer(304, b"", {})
            return
        manifest = self.fake.storage.manifest(name, reference)
        if manifest.media_type not in (DOCKER_MANIFEST, DOCKER_LIST) and manifest.media_type not in self._accepted():
            raise Refused(404, "MANIFEST_UNKNOWN", "OCI manifest found, but accept header does not support it")
        self.fake.notifier.manifest("pull", name, manifest, None if is_digest(reference) else reference, self._cause())
        named = {"Docker-Content-Digest": manifest.digest, "Etag": f'"{manifest.digest}"'}
        self._answer(200, manifest.content, {"Content-Type": manifest.media_type, **named})

    _head_manifest = _get_manifest

    def _put_manifest(self, name: str, reference: str) -> None:
        media_type = self.headers.get("Content-Type", "")
        manifest = self.fake.put_manifest(name, reference, media_type, self._body, self._cause())
        location = f"{self._base()}/v2/{name}/manifests/{manifest.digest}"
        self._answer(201, b"", {"Location": location, "Docker-Content-Digest": manifest.digest})

    def _delete_manifest(self, name: str, reference: str) -> None:
        self._need_deletes()
        if not is_digest(reference):
            self.fake.storage.delete_tag(name, reference)
            self.fake.notifier.deleted(name, self._cause(), tag=reference)
        else:
            removed = self.fake.storage.delete_manifest(name, reference, self._meanwhile)
            self.fake.notifier.deleted(name, self._cause(), digest=reference)
            for tag in removed:
                self.fake.notifier.deleted(name, self._cause(), tag=tag)
        self._answer(202, b"", {})

    def _meanwhile(self) -> None:
        while self.fake.meanwhile:
            self.fake.meanwhile.pop(0)()

    def _get_blob(self, name: str, digest: str) -> None:
        content = self.fake.storage.blob(name, digest)
        self.fake.notifier.blob("pull", name, digest, len(content), self._cause())
        named = {"Docker-Content-Digest": digest, "Etag": f'"{digest}"'}
        self._answer(200, content, {"Content-Type": "application/octet-stream", **named})

    _head_blob = _get_blob

    def _delete_blob(self, name: str, digest: str) -> None:
        self._need_deletes()
        self.fake.storage.delete_blob(name, digest)
        self.fake.notifier.deleted(name, self._cause(), digest=digest)
        self._answer(202, b"", {})

    def _post_upload(self, name: str, upload: str) -> None:
        """A mount, or a new upload. `?digest=` is ignored, as Distribution does: it knows no single POST."""
        query = parse_qs(urlsplit(self.path).query)
        digest, source = query.get("mount", [""])[0], query.get("from", [""])[0]
        if digest and self.fake.storage.mount(name, digest, source):
            size = len(self.fake.storage.blob(source, digest)) if digest.startswith("sha256:") else 0
            self.fake.notifier.blob("mount", name, digest, size, self._cause(), source=source)
            location = f"{self._base()}/v2/{name}/blobs/{digest}"
            self._answer(201, b"", {"Location": location, "Docker-Content-Digest": digest})
            return
        upload = str(uuid.uuid4())
        self.fake.uploads[upload] = b""
        self._answer(202, b"", self._upload_headers(name, upload))

    def _patch_upload(self, name: str, upload: str) -> None:
        self.fake.uploads[upload] = self._upload(upload) + self._body
        self._answer(202, b"", self._upload_headers(name, upload))

    def _put_upload(self, name: str, upload: str) -> None:
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        self.fake.put_blob(name, self._upload(upload) + self._body, self._cause(), digest)
        del self.fake.uploads[upload]
        location = f"{self._base()}/v2/{name}/blobs/{digest}"
        self._answer(201, b"", {"Location": location, "Docker-Content-Digest": digest})

    def _upload(self, upload: str) -> bytes:
        if upload not in self.fake.uploads:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return self.fake.uploads[upload]

    def _upload_headers(self, name: str, upload: str) -> dict[str, str]:
        end = max(len(self.fake.uploads[upload]) - 1, 0)
        location = f"{self._base()}/v2/{name}/blobs/uploads/{upload}?_state=fake"
        return {"Location": location, "Range": f"0-{end}", "Docker-Upload-Uuid": upload}

    def _need_deletes(self) -> None:
        if not self.fake.delete_enabled:
            raise Refused(405, "UNSUPPORTED", "The operation is unsupported.")

    def _accepted(self) -> set[str]:
        headers = self.headers.get_all("Accept") or []
        return {part.partition(";")[0].strip() for header in headers for part in header.split(",")} & set(
            MANIFEST_TYPES
        )

    def _base(self) -> str:
        return f"{self.fake.url.partition(':')[0]}://{self.headers.get('Host', self.fake.host)}"

    def _cause(self) -> Caused:
        address = f"{self.client_address[0]}:{self.client_address[1]}"
        actor = self.fake.login.username if self.fake.login else ""
        agent = self.headers.get("User-Agent", "")
        return Caused(self.command, self.headers.get("Host", self.fake.host), address, agent, actor)

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        """Record the request, then answer: a client that has the answer finds the record."""
        done: Callable[[], object] | None = getattr(self._meet("after"), "call", None)
        if done is not None:
            done()
        if self._meet("lose answer") is not None:
            raise Dropped
        self._record(status)
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(content)

    def _record(self, status: int) -> None:
        agent = self.headers.get("User-Agent", "")
        self.fake.record(RecordedRequest(self.command, self.path, agent, status, dict(self.headers.items())))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
