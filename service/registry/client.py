"""Speaks the registry's HTTP API: tags, manifests, deletes, the catalog."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import requests.auth
from urllib3.exceptions import HTTPError

from service.domain.errors import (
    DeletesDisabled,
    ManifestRefused,
    MisnamedManifest,
    RegistryUnavailable,
    TagDeletesUnknown,
)
from service.domain.oci.manifest import DOCKER_MANIFEST, MANIFEST_TYPES
from service.domain.oci.names import is_digest, is_tag
from service.registry.address import checked_digest, checked_repository, checked_url, manifest_path
from service.registry.answers import error_codes, is_gone, read_json, refusal, translated
from service.registry.session import AnswerTooLarge, open_session, read_bounded

CATALOG_PAGE = 1000
# Bounds for a hostile registry. Real ones stay far below: a million names in pages of 100 are 10,000 pages.
_MOST_PAGES = 20_000
_MANIFEST_BYTES = 4 * 1024 * 1024  # Distribution takes no larger manifest
_LISTING_BYTES = 256 * 1024 * 1024
_MANIFESTS_ACCEPTED = ", ".join(MANIFEST_TYPES)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a HEAD says of a manifest. Not modified: only the digest is known, media_type is "" and size_bytes 0."""

    digest: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a GET says; `digest` is that of `content`."""

    digest: str
    media_type: str
    content: bytes


class RegistryClient:
    """One registry over one keep-alive session, shared by threads; at most `parallel` requests at once.

    Every method raises AccessDenied (401, 403), RegistryRefused (a no that stays) or RegistryUnavailable (try again
    later: timeout, refused connection, 429, 5xx, an answer that makes no sense), and ValueError for a name that breaks
    the registry's grammar. Nothing is retried here but a GET or HEAD on a connection that had gone stale.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: requests.auth.AuthBase | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        delete_timeout_s: float = 300.0,
        parallel: int = 4,
        instead: str = "",
        timed: Callable[[str, float], object] = lambda *_: None,
    ) -> None:
        """timeout_s: for connecting and for each wait for bytes. delete_timeout_s: instead of that, for the answer to a
        DELETE, during which the registry reads every tag of the repository. instead: what to do where it does not
        delete, besides. timed: is told of each request: "<method> <status>" (or "<method> none"), and how long it
        took (s).

        Raises ConfigurationError for a bad url or ca_file.
        """
        self._url = checked_url(url)
        self._where = f"the registry at {self._url}"
        self._timeout_s, self._instead, self._timed = timeout_s, instead, timed
        self._delete_timeout_s = delete_timeout_s
        self._session = open_session(self._url, ca_file=ca_file, parallel=parallel, auth=auth)

    def ping(self, timeout_s: float | None = None) -> None:
        """Return if a registry answers and lets us in. timeout_s: a shorter one than for other requests."""
        self._expect_object(self._send("GET", "/v2/", {}, timeout_s=timeout_s))

    def tags(self, repository: str) -> tuple[str, ...]:
        """Every tag, in the registry's order; () for an emptied or unknown repository. Half a listing is an error."""
        return tuple(self._listing(f"/v2/{checked_repository(repository)}/tags/list", "tags", "", gone_is_empty=True))

    def repositories(self, after: str = "") -> Iterator[str]:
        """Every repository of the catalog behind the name `after`, emptied ones included, a page of 1000 at a time.

        A page that fails raises from the iteration: what came before it is not the whole catalog.
        """
        last = f"last={quote(after, safe='')}" if after else ""
        most = f"n={CATALOG_PAGE}&{last}" if last else f"n={CATALOG_PAGE}"
        return self._listing("/v2/_catalog", "repositories", most, or_else=last)

    def head(self, repository: str, reference: str, *, unless: str | None = None) -> Standing | None:
        """Where a tag or digest stands; None if the registry does not have it.

        unless: the digest it is thought to stand at. Where it still does, the registry answers 304 and emits no
        notification, while any other HEAD counts as a pull. Only for a tag: of a digest the registry says 304
        whether it has it or not (measured on 2.8.3), and a tag's 304 does not prove that its manifest is there.
        """
        headers = {"Accept": _MANIFESTS_ACCEPTED}
        if unless is not None:
            if is_digest(reference):
                raise ValueError("a conditional HEAD of a digest proves nothing: ask for a tag")
            headers["If-None-Match"] = f'"{checked_digest(unless)}"'
        response = self._send("HEAD", manifest_path(repository, reference), headers)
        if response.status_code == 304 and unless is not None:
            return Standing(unless, "", 0)
        if is_gone(response):
            return None
        self._expect(response, 200)
        return Standing(self._digest_of(response), _media_type(response), self._size_of(response))

    def get(self, repository: str, reference: str) -> Manifest | None:
        """The manifest a tag or digest stands for, checked against its digest; None if the registry has none."""
        accepted = {"Accept": _MANIFESTS_ACCEPTED}
        response = self._send("GET", manifest_path(repository, reference), accepted, stream=True)
        with translated(self._where, self._timeout_s), response:
            read_bounded(response, _MANIFEST_BYTES)
        if is_gone(response):
            return None
        self._expect(response, 200)
        digest = self._digest_of(response)
        if digest != _sha256(response.content) or (is_digest(reference) and digest != reference):
            raise MisnamedManifest(f"{self._where} sent a manifest of {repository} that is not what {digest} names")
        return Manifest(digest, _media_type(response), response.content)

    def blob(self, repository: str, digest: str, limit_bytes: int) -> bytes | None:
        """A small blob, such as an image's config, checked against its digest; None if it is not there or larger."""
        response = self._send(
            "GET", f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}", {}, stream=True
        )
        with translated(self._where, self._timeout_s), response:
            if response.status_code == 404:
                return None
            self._expect(response, 200)
            try:
                content = read_bounded(response, limit_bytes)
            except AnswerTooLarge:
                return None
        if _sha256(content) != digest:
            raise RegistryUnavailable(f"{self._where} sent a blob of {repository} that is not {digest}")
        return content

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a blob is really there: its first byte is read, as a cache also claims what is gone."""
        path = f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}"
        response = self._send("GET", path, {"Range": "bytes=0-0"}, stream=True)
        with response:
            if response.status_code == 404:
                return False
            if response.status_code not in (200, 206):
                self._expect(response, 206)
            try:
                return bool(next(response.iter_content(1), b""))
            except (requests.RequestException, HTTPError):
                return False

    def claims_blob(self, repository: str, digest: str) -> bool:
        """Whether the registry says that a blob is there, which it may do from a cache."""
        response = self._send("HEAD", f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}", {})
        if response.status_code == 404:
            return False
        self._expect(response, 200)
        return True

    def takes_writes(self, repository: str) -> bool:
        """Whether the registry would take a push; False where it runs read-only.

        What is put is no manifest, so that nothing comes of it. An upload that is begun and cancelled would leave a
        folder that is never collected (measured on 2.8.3).
        """
        path = manifest_path(repository, "pushprune-probe")
        response = self._send("PUT", path, {"Content-Type": DOCKER_MANIFEST}, b"no manifest")
        if response.status_code == 405:
            return False
        if response.status_code != 400 or "MANIFEST_INVALID" not in error_codes(response):
            raise refusal(response, self._where, _what(response))
        return True

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Store a manifest under a tag or its digest and return the digest.

        Raises:
            ManifestRefused: the registry never takes these bytes.
            WritesDisabled: the registry is read-only.
        """
        response = self._send("PUT", manifest_path(repository, reference), {"Content-Type": media_type}, content)
        if response.status_code == 400 and (codes := error_codes(response)):
            missing = ": layers or parts that it needs are missing" if "MANIFEST_BLOB_UNKNOWN" in codes else ""
            raise ManifestRefused(f"{refusal(response, self._where, _what(response))}{missing}")
        self._expect(response, 201)
        digest = self._digest_of(response)
        if digest != _sha256(content):
            raise RegistryUnavailable(f"{self._where} stored something else than what was sent to {repository}")
        return digest

    def delete(self, repository: str, digest: str) -> bool:
        """Deletes a manifest and with it every tag that stands at it; False if it was already gone.

        Raises DeletesDisabled where the registry runs with deletes off or read-only.
        """
        path = f"/v2/{checked_repository(repository)}/manifests/{checked_digest(digest)}"
        response = self._send("DELETE", path, {}, timeout_s=self._delete_timeout_s)
        if is_gone(response):
            return False
        self._expect(response, 202)
        return True

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Deletes a tag and leaves its manifest; False if it was already gone.

        Raises TagDeletesUnknown where the registry deletes no single tags (2.8), DeletesDisabled as `delete` does.
        """
        if not is_tag(tag):
            raise ValueError(f"{tag[:80]!r} is no tag")
        response = self._send("DELETE", manifest_path(repository, tag), {}, timeout_s=self._delete_timeout_s)
        if is_gone(response):
            return False
        if response.status_code == 400 and "DIGEST_INVALID" in error_codes(response):
            raise TagDeletesUnknown(f"{self._where} deletes no single tags")
        self._expect(response, 202)
        return True

    def _listing(
        self, path: str, key: str, query: str, *, or_else: str = "", gone_is_empty: bool = False
    ) -> Iterator[str]:
        """The strings under `key` of each page. Of a Link only the query counts: behind a proxy its path may differ.

        Args:
            or_else: the query for a registry that refuses the size of page in `query`; it then uses its own.
        """
        asked: set[str] = set()
        size_bytes = 0
        while True:
            response = self._send("GET", f"{path}?{query}" if query else path, {})
            if gone_is_empty and not asked and response.status_code == 404 and "NAME_UNKNOWN" in error_codes(response):
                return
            if not asked and query != or_else and "PAGINATION_NUMBER_INVALID" in error_codes(response):
                # catalog.maxentries is below ours; the answer does not say what it is.
                query = or_else
                continue
            asked.add(query)
            yield from self._names(response, key)
            following = response.links.get("next", {}).get("url")
            if following is None:
                return
            query = following.partition("?")[2]
            size_bytes += len(response.content)
            if query in asked:
                raise RegistryUnavailable(f"{self._where} pages in circles through {path}")
            if len(asked) >= _MOST_PAGES or size_bytes > _LISTING_BYTES:
                raise RegistryUnavailable(f"{self._where} does not come to an end with {path}: this is no listing")

    def _names(self, response: requests.Response, key: str) -> list[str]:
        body = self._expect_object(response)
        names = body.get(key, ...)
        if names is None:
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RegistryUnavailable(f"{self._where} sent a listing without a list of {key}")
        return names

    def _read_page(self, path: str) -> dict[str, Any]:
        return self._expect_object(self._send("GET", path, {}))

    def _expect_object(self, response: requests.Response) -> dict[str, Any]:
        self._expect(response, 200)
        body = read_json(response)
        if not isinstance(body, dict):
            raise RegistryUnavailable(f"{self._where} sent something else than a JSON object to {_what(response)}")
        return body

    def _expect(self, response: requests.Response, status: int) -> None:
        if response.status_code == status:
            return
        error = refusal(response, self._where, _what(response))
        if isinstance(error, DeletesDisabled) and self._instead:
            raise DeletesDisabled(f"{error}; {self._instead}")
        raise error

    def _digest_of(self, response: requests.Response) -> str:
        digest = response.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):
            raise RegistryUnavailable(f"{self._where} named no digest in its answer to {_what(response)}")
        return digest

    def _size_of(self, response: requests.Response) -> int:
        size = response.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()):
            raise RegistryUnavailable(f"{self._where} named no size in its answer to {_what(response)}")
        return int(size)

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None = None,
        *,
        stream: bool = False,
        timeout_s: float | None = None,
    ) -> requests.Response:
        """Prepares the request itself: what Session.request merges into each would cost a third of our time for it."""
        session, prepared, said = self._session, requests.PreparedRequest(), "none"
        began_s, timeout_s = time.monotonic(), timeout_s or self._timeout_s
        try:
            with translated(self._where, timeout_s):
                prepared.prepare(
                    method, self._url + path, {**session.headers, **headers}, data=content, auth=session.auth
                )
                response = session.send(
                    prepared,
                    timeout=(min(timeout_s, self._timeout_s), timeout_s),
                    stream=stream,
                    allow_redirects=method in ("GET", "HEAD"),
                    proxies=session.proxies,
                    verify=session.verify,
                    cert=session.cert,
                )
                said = str(response.status_code)
                return response
        finally:
            self._timed(f"{method} {said}", time.monotonic() - began_s)


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _what(response: requests.Response) -> str:
    return f"{response.request.method} {response.request.path_url}"
