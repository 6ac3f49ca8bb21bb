"""Classify the requests that the proxy asks the write gate about."""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from service.domain.oci.names import DIGEST, REPOSITORY, TAG, is_digest, is_repository

Kind = Literal["reads", "asks", "begins", "uploads", "manifest", "deletes", "writes"]

MOST_URI = 4096
_BLOB = re.compile(rf"/v2/({REPOSITORY})/blobs/({DIGEST})", re.ASCII)
_BEGIN = re.compile(rf"/v2/({REPOSITORY})/blobs/uploads/?", re.ASCII)
_UPLOAD = re.compile(rf"/v2/({REPOSITORY})/blobs/uploads/[A-Za-z0-9_=-]{{1,256}}", re.ASCII)
_MANIFEST = re.compile(rf"/v2/({REPOSITORY})/manifests/({DIGEST}|{TAG})", re.ASCII)
_ADDRESS = re.compile(r"[0-9a-fA-F:.]{2,45}", re.ASCII)
_PORT = re.compile(r"^(?:\[(?P<six>[0-9a-fA-F:.]+)\](?::\d+)?|(?P<four>\d+\.\d+\.\d+\.\d+):\d+)$")


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One request that asks to pass the gate.

    Attributes:
        kind: the meaning of the request for the gate:
            reads     never waits
            asks      HEAD of a blob: a push begins and will rely on blobs that exist
            begins    POST of an upload; a mount relies on a blob, too
            uploads   PATCH, PUT or DELETE of an upload that was begun
            manifest  PUT of a manifest
            deletes   DELETE of a manifest or a blob
            writes    any other request that may change the registry
        digest: the blob that the client relies on once the request succeeds; "" if there is none.
        by_tag: True if a manifest is put by its tag, which ends the push.
        reference: the tag or the digest of the manifest that is put.
    """

    kind: Kind
    repository: str = ""
    digest: str = ""
    by_tag: bool = False
    reference: str = ""


def classify(method: str, uri: str) -> WriteRequest:
    """Classify a request by its X-Original-Method and X-Original-URI. A request that is not understood is a write."""
    method = method.upper()
    if len(uri) > MOST_URI:
        return WriteRequest("writes")
    try:
        parts = urlsplit(uri)
        path, query = unquote(parts.path, errors="strict"), parse_qs(parts.query, max_num_fields=32)
    except ValueError:
        return WriteRequest("writes")
    if method in ("GET", "OPTIONS"):
        return WriteRequest("reads")
    if method == "HEAD":
        blob = _BLOB.fullmatch(path)
        return WriteRequest("asks", blob[1], blob[2]) if blob and is_repository(blob[1]) else WriteRequest("reads")
    write = _written(method, path, query)
    return write if write is not None and is_repository(write.repository) else WriteRequest("writes")


def _written(method: str, path: str, query: dict[str, list[str]]) -> WriteRequest | None:
    if method == "POST" and (match := _BEGIN.fullmatch(path)):
        return WriteRequest("begins", match[1], _digest(query, "mount") or _digest(query, "digest"))
    if method in ("PATCH", "PUT", "DELETE") and (match := _UPLOAD.fullmatch(path)):
        return WriteRequest("uploads", match[1], _digest(query, "digest") if method == "PUT" else "")
    if method == "PUT" and (match := _MANIFEST.fullmatch(path)):
        return WriteRequest("manifest", match[1], by_tag=not is_digest(match[2]), reference=match[2])
    if method == "DELETE" and (match := _MANIFEST.fullmatch(path) or _BLOB.fullmatch(path)):
        return WriteRequest("deletes", match[1])
    return None


def _digest(query: dict[str, list[str]], name: str) -> str:
    value = query.get(name, [""])[0]
    return value if is_digest(value) else ""


@lru_cache(maxsize=1024)
def client_of(address: str, agent: str) -> str:
    """Return a short name of a pushing client, one word, the same at the gate and in a notification."""
    # Credentials are no part of the name, because a client fetches another token in the middle of a push.
    address = address.partition(",")[0].strip()
    if match := _PORT.match(address):
        address = match["six"] or match["four"]
    word = address if _ADDRESS.fullmatch(address) else "-"
    return f"{word}/{hashlib.sha256(agent[:256].encode('utf-8', 'replace')).hexdigest()[:8]}"
