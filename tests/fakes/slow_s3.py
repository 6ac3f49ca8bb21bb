"""An S3 server whose every call takes a set time, with counters: for figures. It starts with the objects of a file.

It is nine times as fast as moto, and knows what a registry needs for pushes, also multipart uploads: for load. It has
no versions and no conditions.
"""

import json
import pickle
import sys
import tempfile
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import requests

from tests.fakes.s3 import BUCKET, S3Server

_PAGE = 1000
_MISSING = "<Error><Code>NoSuchKey</Code><Message>not found</Message></Error>"


@dataclass(frozen=True, slots=True)
class SlowObject:
    """An object's content, the time (s) of its last write, and the size that a listing tells; None: the real one."""

    content: bytes
    modified_s: float
    size_bytes: int | None = None

    @property
    def etag(self) -> str:
        return f'"{md5(self.content, usedforsecurity=False).hexdigest()}"'


class SlowS3(S3Server):
    """The server as a process, from `with` to its end. Until `slow`, no call waits."""

    def __init__(self, objects: Mapping[str, SlowObject], prefix: str = "") -> None:
        super().__init__(prefix)
        self._objects = objects

    def __enter__(self) -> Self:
        with tempfile.NamedTemporaryFile() as seed:
            seed.write(pickle.dumps(dict(self._objects)))
            seed.flush()
            self._start(__name__, self.port, seed.name)
        return self

    def slow(self, seconds: float) -> None:
        """Let each call from now on take so long, and count from zero."""
        requests.post(f"{self.url}/-/slow", json=seconds, timeout=60).raise_for_status()

    def calls(self) -> Counter[str]:
        """The calls since then, by kind."""
        return Counter(requests.get(f"{self.url}/-/calls", timeout=60).json())


class _Bucket:
    """The objects of the server, sorted by key."""

    def __init__(self, objects: dict[str, SlowObject]) -> None:
        self.objects = objects
        self.keys = sorted(objects)
        self.lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.delay_s = 0.0
        # Multipart uploads: id → key, and parts by number.
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}

    def put(self, key: str, content: bytes) -> SlowObject:
        with self.lock:
            if key not in self.objects:
                insort(self.keys, key)
            self.objects[key] = SlowObject(content, time.time())
            return self.objects[key]

    def delete(self, key: str) -> None:
        with self.lock:
            if self.objects.pop(key, None) is not None:
                del self.keys[bisect_left(self.keys, key)]

    def page(self, prefix: str, after: str, delimiter: str, count: int) -> tuple[list[str], list[str], str]:
        """The keys and folders of a page, and the key to continue after ("" at the end)."""
        keys: list[str] = []
        folders: list[str] = []
        with self.lock:
            at = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after))
            while at < len(self.keys) and self.keys[at].startswith(prefix):
                if len(keys) + len(folders) == count:
                    return keys, folders, after
                rest = self.keys[at][len(prefix) :]
                if delimiter and delimiter in rest:
                    folders.append(prefix + rest.partition(delimiter)[0] + delimiter)
                    # Behind everything in the folder.
                    after = folders[-1] + "\U0010ffff"
                    at = bisect_left(self.keys, after)
                else:
                    after = self.keys[at]
                    keys.append(after)
                    at += 1
        return keys, folders, ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: _Bucket

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _called(self, kind: str) -> None:
        self.bucket.calls[kind] += 1
        time.sleep(self.bucket.delay_s)

    def _parts(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/"), query

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        lines = {"Content-Length": str(len(body)), **(headers or {})}
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        self.wfile.write(head.encode() + (body if self.command != "HEAD" else b""))

    def _stored(self, key: str) -> None:
        stored = self.bucket.objects.get(key)
        if stored is None:
            self._answer(404, _MISSING.encode())
            return
        headers = {"ETag": stored.etag, "Last-Modified": formatdate(stored.modified_s, usegmt=True)}
        if (span := self.headers.get("Range")) is None:
            self._answer(200, stored.content, headers)
            return
        # The registry asks for bytes=<first>-, pushprune for bytes=<first>-<last>.
        begin, _, last = span.removeprefix("bytes=").partition("-")
        first = int(begin)
        part = stored.content[first : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(stored.content)}"
        self._answer(206, part, headers)

    def do_HEAD(self) -> None:
        self._called("HEAD")
        self._stored(self._parts()[0])

    def do_GET(self) -> None:
        key, query = self._parts()
        if "uploads" in query or "uploadId" in query:
            self._called("LIST")
            self._uploads(query)
        elif key == "-/calls":
            self._answer(200, json.dumps(self.bucket.calls).encode())
        elif key or "list-type" in query or "prefix" in query:
            self._called("GET" if key else "LIST")
            if key:
                self._stored(key)
            else:
                self._list(query)
        else:
            self._answer(200, b"<LocationConstraint></LocationConstraint>")

    def do_PUT(self) -> None:
        key, query = self._parts()
        content = self._body()
        if source := self.headers.get("x-amz-copy-source"):
            self._copy(key, unquote(source).lstrip("/").removeprefix(f"{BUCKET}/"), query)
            return
        if "uploadId" in query:
            self._called("PUT")
            self._part(content, query)
            return
        if not key:
            self._answer(200)
            return
        self._called("PUT")
        self._answer(200, headers={"ETag": self.bucket.put(key, content).etag})

    def _part(self, content: bytes, query: Mapping[str, str]) -> None:
        self.bucket.uploads[query["uploadId"]][1][int(query["partNumber"])] = content
        self._answer(200, headers={"ETag": SlowObject(content, 0).etag})

    def _copy(self, key: str, source: str, query: Mapping[str, str]) -> None:
        self._called("COPY")
        stored = self.bucket.objects.get(source)
        if stored is None:
            self._answer(404, _MISSING.encode())
            return
        content = stored.content
        if "uploadId" in query:
            first, _, last = (
                self.headers.get("x-amz-copy-source-range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            content = content[int(first) : int(last or len(content)) + 1]
            self.bucket.uploads[query["uploadId"]][1][int(query["partNumber"])] = content
            name = "CopyPartResult"
        else:
            self.bucket.put(key, content)
            name = "CopyObjectResult"
        etag, at = SlowObject(content, 0).etag, _rfc3339(time.time())
        answer = f"<{name}><LastModified>{at}</LastModified><ETag>{escape(etag)}</ETag></{name}>"
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"})

    def _uploads(self, query: Mapping[str, str]) -> None:
        """List the multipart uploads, or the parts of one."""
        if id := query.get("uploadId"):
            parts = sorted(self.bucket.uploads[id][1].items())
            rows = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(SlowObject(part, 0).etag)}</ETag>"
                f"<Size>{len(part)}</Size></Part>"
                for number, part in parts
            )
            name = "ListPartsResult"
        else:
            prefix = query.get("prefix", "")
            rows = "".join(
                f"<Upload><Key>{escape(key)}</Key><UploadId>{id}</UploadId></Upload>"
                for id, (key, _) in list(self.bucket.uploads.items())
                if key.startswith(prefix)
            )
            name = "ListMultipartUploadsResult"
        answer = f"<{name}><IsTruncated>false</IsTruncated>{rows}</{name}>"
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"})

    def _upload(self, key: str, query: Mapping[str, str]) -> None:
        """Begin or complete a multipart upload."""
        if id := query.get("uploadId"):
            _, parts = self.bucket.uploads.pop(id)
            self.bucket.put(key, b"".join(part for _, part in sorted(parts.items())))
            answer = f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key></CompleteMultipartUploadResult>"
        else:
            id = uuid4().hex
            self.bucket.uploads[id] = (key, {})
            answer = (
                f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key>"
                f"<UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            )
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"})

    def do_DELETE(self) -> None:
        self._called("DELETE")
        key, query = self._parts()
        if "uploadId" in query:
            self.bucket.uploads.pop(query["uploadId"], None)
        else:
            self.bucket.delete(key)
        self._answer(204)

    def do_POST(self) -> None:
        key, query = self._parts()
        body = self._body()
        if "uploads" in query or "uploadId" in query:
            self._called("POST")
            self._upload(key, query)
            return
        if key == "-/slow":
            self.bucket.delay_s, self.bucket.calls = json.loads(body), Counter()
            self._answer(200)
            return
        self._called("DELETE of many")
        names = [node.text or "" for node in ElementTree.fromstring(body).iter() if node.tag.endswith("Key")]
        for name in names:
            self.bucket.delete(name)
        deleted = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _list(self, query: Mapping[str, str]) -> None:
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker") or ""
        count = min(int(query.get("max-keys", _PAGE)), _PAGE)
        names, folders, following = self.bucket.page(query.get("prefix", ""), after, query.get("delimiter", ""), count)
        rows = []
        for name in names:
            stored = self.bucket.objects.get(name)
            if stored is not None:
                at = _rfc3339(stored.modified_s)
                size = stored.size_bytes or len(stored.content)
                rows.append(
                    f"<Contents><Key>{escape(name)}</Key><LastModified>{at}</LastModified>"
                    f"<ETag>{escape(stored.etag)}</ETag><Size>{size}</Size></Contents>"
                )
        rows += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders]
        more = f"<NextContinuationToken>{escape(following)}</NextContinuationToken>" if following else ""
        more += f"<NextMarker>{escape(following)}</NextMarker>" if following else ""
        self._answer(
            200,
            f"<ListBucketResult><Name>{BUCKET}</Name><KeyCount>{len(names) + len(folders)}</KeyCount>"
            f"<MaxKeys>{count}</MaxKeys><IsTruncated>{str(bool(following)).lower()}</IsTruncated>{more}"
            f"{''.join(rows)}</ListBucketResult>".encode(),
            {"Content-Type": "application/xml"},
        )


def _rfc3339(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at_s))


class _Server(ThreadingHTTPServer):
    # The registry and the collection open many connections at once: with Python's 5, some of them are reset.
    request_queue_size = 1024


def _serve(port: int, seed: Path) -> None:
    _Handler.bucket = _Bucket(pickle.loads(seed.read_bytes()))
    _Server(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
