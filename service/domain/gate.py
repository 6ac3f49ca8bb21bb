"""What a request that stands before the write gate wishes to do at the registry."""

import hashlib
import re
from dataclasses import dataclass
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
class Wish:
    """One request. kind: what it is to the gate:

    reads     never waits
    asks      HEAD of a blob: a push begins, and will rely on what is there
    begins    POST of an upload; a mount relies on a blob, too
    uploads   PATCH, PUT or DELETE of an upload that was begun
    manifest  PUT of a manifest; by_tag: the push ends with it
    deletes   DELETE of a manifest or a blob
    writes    anything else that may change something

    digest: of the blob that somebody relies on once it succeeds, "" where there is none.
    """

    kind: Kind
    repository: str = ""
    digest: str = ""
    by_tag: bool = False


def read_wish(method: str, uri: str) -> Wish:
    """The wish behind X-Original-Method and X-Original-URI. What is not understood is taken for a write."""
    method = method.upper()
    if len(uri) > MOST_URI:
        return Wish("writes")
    try:
        parts = urlsplit(uri)
        path, query = unquote(parts.path, errors="strict"), parse_qs(parts.query, max_num_fields=32)
    except ValueError:
        return Wish("writes")
    if method in ("GET", "OPTIONS"):
        return Wish("reads")
    if method == "HEAD":
        found = _BLOB.fullmatch(path)
        return Wish("asks", found[1], found[2]) if found and is_repository(found[1]) else Wish("reads")
    wish = _written(method, path, query)
    return wish if wish is not None and is_repository(wish.repository) else Wish("writes")


def _written(method: str, path: str, query: dict[str, list[str]]) -> Wish | None:
    if method == "POST" and (found := _BEGIN.fullmatch(path)):
        return Wish("begins", found[1], _digest(query, "mount") or _digest(query, "digest"))
    if method in ("PATCH", "PUT", "DELETE") and (found := _UPLOAD.fullmatch(path)):
        return Wish("uploads", found[1], _digest(query, "digest") if method == "PUT" else "")
    if method == "PUT" and (found := _MANIFEST.fullmatch(path)):
        return Wish("manifest", found[1], by_tag=not is_digest(found[2]))
    if method == "DELETE" and (found := _MANIFEST.fullmatch(path) or _BLOB.fullmatch(path)):
        return Wish("deletes", found[1])
    return None


def _digest(query: dict[str, list[str]], name: str) -> str:
    given = query.get(name, [""])[0]
    return given if is_digest(given) else ""


def client_of(address: str, agent: str) -> str:
    """A short name for who pushes, the same at the gate and in a notification: one word.

    Its credentials are no part of it: a client fetches another token in the middle of a push.
    """
    address = address.partition(",")[0].strip()
    if found := _PORT.match(address):
        address = found["six"] or found["four"]
    word = address if _ADDRESS.fullmatch(address) else "-"
    return f"{word}/{hashlib.sha256(agent[:256].encode('utf-8', 'replace')).hexdigest()[:8]}"
