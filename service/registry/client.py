"""The client of the registry's HTTP API: tags, manifests, blobs, deletions, the catalog."""

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
from service.registry.session import USER_AGENT, AnswerTooLarge, agent_with, open_session, read_bounded

CATALOG_PAGE = 1000
# Bounds for a hostile registry. Real ones stay far below: a million names in pages of 100 are 10,000 pages.
_MOST_PAGES = 20_000
# Distribution accepts no larger manifest.
_MANIFEST_BYTES = 4 * 1024 * 1024
_LISTING_BYTES = 256 * 1024 * 1024
_MANIFESTS_ACCEPTED = ", ".join(MANIFEST_TYPES)


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer to a HEAD of a manifest.

    After 304 (not modified) only the digest is known: media_type is "" and size_bytes is 0.
    """

    digest: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The answer to a GET of a manifest; `digest` was checked against `content`."""

    digest: str
    media_type: str
    content: bytes


class RegistryClient:
    """One registry over one keep-alive session, shared by threads.

    Nothing is retried here, except a GET or HEAD on a kept-alive connection that the registry had closed.

    Every method raises:
        AccessDenied: 401 or 403.
        RegistryRefused: a permanent refusal.
        RegistryUnavailable: try again later. A timeout, a refused connection, 429, 5xx or a senseless answer.
        ValueError: a name breaks the registry's grammar.
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
        word: Callable[[], str] | None = None,
    ) -> None:
        """Open the session; nothing is sent yet.

        Args:
            url: of the registry.
            auth: the login.
            ca_file: CA certificates in PEM form, instead of those of the system.
            timeout_s: for connecting, and for each wait for bytes.
            delete_timeout_s: the same for a DELETE, during which the registry reads every tag of the repository.
            parallel: requests at once, at most.
            instead: an alternative for the user, added to the error of a registry that does not delete.
            timed: called after each request with "<method> <status>" (or "<method> none") and its seconds.
            word: of this installation. Requests that change something have it in their User-Agent, so that pushprune
                recognizes their events. No other host receives the word: only GET and HEAD follow a redirect.

        Raises:
            ConfigurationError: a bad url or ca_file.
        """
        self._url = checked_url(url)
        self._where = f"the registry at {self._url}"
        self._timeout_s, self._instead, self._timed = timeout_s, instead, timed
        self._delete_timeout_s = delete_timeout_s
        self._word = word
        self._session = open_session(self._url, ca_file=ca_file, parallel=parallel, auth=auth)

    def ping(self, timeout_s: float | None = None) -> None:
        """Return if the registry answers and accepts the login. timeout_s: instead of the usual timeout."""
        self._expect_object(self._send("GET", "/v2/", {}, timeout_s=timeout_s))

    def tags(self, repository: str) -> tuple[str, ...]:
        """Every tag, in the registry's order; () for an emptied or unknown repository. Never an incomplete listing."""
        return tuple(self._listing(f"/v2/{checked_repository(repository)}/tags/list", "tags", "", gone_is_empty=True))

    def repositories(self, after: str = "") -> Iterator[str]:
        """Every repository of the catalog after the name `after`, emptied ones included, read in pages of 1000.

        If a page fails, the iteration raises: the repositories until then are not the whole catalog.
        """
        last = f"last={quote(after, safe='')}" if after else ""
        most = f"n={CATALOG_PAGE}&{last}" if last else f"n={CATALOG_PAGE}"
        return self._listing("/v2/_catalog", "repositories", most, or_else=last)

    def head(self, repository: str, reference: str, *, unless: str | None = None) -> Standing | None:
        """Return the digest that a tag points at, or look a digest up; None if the registry does not have it.

        Args:
            repository: the name of the repository.
            reference: a tag or a digest.
            unless: the digest at which the tag is expected to point. If it does, the registry answers 304 and emits no
                notification; any other HEAD counts as a pull. A 304 does not prove that the manifest exists.

        Raises:
            ValueError: `unless` was given with a digest.
        """
        headers = {"Accept": _MANIFESTS_ACCEPTED}
        if unless is not None:
            # The registry answers 304 to a conditional HEAD of a digest, even if the manifest does not exist (2.8.3).
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
        """Return the manifest of a tag or digest, checked against its digest; None if the registry does not have it."""
        accepted = {"Accept": _MANIFESTS_ACCEPTED}
        response = self._send("GET", manifest_path(repository, reference), accepted, stream=True)
        with translated(self._where, self._timeout_s), response:
            read_bounded(response, _MANIFEST_BYTES)
        if is_gone(response):
            return None
        self._expect(response, 200)
        digest = self._digest_of(response)
        if digest != _sha256(response.content) or (is_digest(reference) and digest != reference):
            raise MisnamedManifest(f"{self._where} sent a manifest of {repository} that does not match {digest}")
        return Manifest(digest, _media_type(response), response.content)

    def blob(self, repository: str, digest: str, limit_bytes: int) -> bytes | None:
        """Return a small blob, such as the config of an image, checked against its digest.

        None if the blob does not exist, or is larger than `limit_bytes`.
        """
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
            raise RegistryUnavailable(f"{self._where} sent a blob of {repository} that does not match {digest}")
        return content

    def has_blob(self, repository: str, digest: str) -> bool:
        """True if a blob exists and can be read."""
        # Only a GET proves this: with a blob-descriptor cache a HEAD also succeeds for a deleted blob.
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
        """True if the registry claims to have a blob. The answer may come from a stale cache."""
        response = self._send("HEAD", f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}", {})
        if response.status_code == 404:
            return False
        self._expect(response, 200)
        return True

    def takes_writes(self, repository: str) -> bool:
        """True if the registry accepts pushes; False if it is read-only."""
        # The body is no manifest, so that the registry stores nothing. Starting and cancelling an upload instead would
        # leave a folder that no collection deletes (measured on 2.8.3).
        path = manifest_path(repository, "pushprune-probe")
        response = self._send("PUT", path, {"Content-Type": DOCKER_MANIFEST}, b"no manifest")
        if response.status_code == 405:
            return False
        if response.status_code != 400 or "MANIFEST_INVALID" not in error_codes(response):
            raise refusal(response, self._where, _request_of(response))
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
            raise ManifestRefused(f"{refusal(response, self._where, _request_of(response))}{missing}")
        self._expect(response, 201)
        digest = self._digest_of(response)
        if digest != _sha256(content):
            raise RegistryUnavailable(f"{self._where} stored another manifest than the one sent to {repository}")
        return digest

    def delete(self, repository: str, digest: str) -> bool:
        """Delete a manifest and every tag that points at it; False if the manifest did not exist.

        Raises:
            DeletesDisabled: deletes are disabled at the registry, or the registry is read-only.
        """
        path = f"/v2/{checked_repository(repository)}/manifests/{checked_digest(digest)}"
        response = self._send("DELETE", path, {}, timeout_s=self._delete_timeout_s)
        if is_gone(response):
            return False
        self._expect(response, 202)
        return True

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its manifest; False if the tag did not exist.

        Raises:
            TagDeletesUnknown: the registry cannot delete a single tag (2.8).
            DeletesDisabled: as `delete`.
        """
        if not is_tag(tag):
            raise ValueError(f"{tag[:80]!r} is not a tag")
        response = self._send("DELETE", manifest_path(repository, tag), {}, timeout_s=self._delete_timeout_s)
        if is_gone(response):
            return False
        if response.status_code == 400 and "DIGEST_INVALID" in error_codes(response):
            raise TagDeletesUnknown(f"{self._where} cannot delete a single tag")
        self._expect(response, 202)
        return True

    def _listing(
        self, path: str, key: str, query: str, *, or_else: str = "", gone_is_empty: bool = False
    ) -> Iterator[str]:
        """Yield the strings under `key`, page by page.

        Args:
            path: of the listing.
            key: of the list in each answer.
            query: of the first page.
            or_else: the query for a registry that refuses the page size in `query`; the registry then uses its own.
            gone_is_empty: an unknown repository is an empty listing, not an error.
        """
        asked: set[str] = set()
        size_bytes = 0
        while True:
            response = self._send("GET", f"{path}?{query}" if query else path, {})
            if gone_is_empty and not asked and response.status_code == 404 and "NAME_UNKNOWN" in error_codes(response):
                return
            if not asked and query != or_else and "PAGINATION_NUMBER_INVALID" in error_codes(response):
                # catalog.maxentries is smaller than our page size; the answer does not contain its value.
                query = or_else
                continue
            asked.add(query)
            yield from self._names(response, key)
            following = response.links.get("next", {}).get("url")
            if following is None:
                return
            # Only the query of a Link is used: behind a proxy its path may differ.
            query = following.partition("?")[2]
            size_bytes += len(response.content)
            if query in asked:
                raise RegistryUnavailable(f"{self._where} sent the same page of {path} twice")
            if len(asked) >= _MOST_PAGES or size_bytes > _LISTING_BYTES:
                raise RegistryUnavailable(f"{self._where} sent more pages of {path} than a registry can have")

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
            raise RegistryUnavailable(f"{self._where} did not answer {_request_of(response)} with a JSON object")
        return body

    def _expect(self, response: requests.Response, status: int) -> None:
        if response.status_code == status:
            return
        error = refusal(response, self._where, _request_of(response))
        if isinstance(error, DeletesDisabled) and self._instead:
            raise DeletesDisabled(f"{error}; {self._instead}")
        raise error

    def _digest_of(self, response: requests.Response) -> str:
        digest = response.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):
            raise RegistryUnavailable(f"{self._where} named no digest in its answer to {_request_of(response)}")
        return digest

    def _size_of(self, response: requests.Response) -> int:
        size = response.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()):
            raise RegistryUnavailable(f"{self._where} named no size in its answer to {_request_of(response)}")
        return int(size)

    def _agent(self) -> str:
        """The User-Agent of a request that changes something."""
        return agent_with(self._word()) if self._word else USER_AGENT

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
        """Send a request and return the response, whatever its status. The time it took is reported to `timed`."""
        # Session.request would merge the session's settings into every request, which costs a third of the time of one.
        session, prepared, status = self._session, requests.PreparedRequest(), "none"
        is_look = method in ("GET", "HEAD")
        named = {} if is_look else {"User-Agent": self._agent()}
        began_s, timeout_s = time.monotonic(), timeout_s or self._timeout_s
        try:
            with translated(self._where, timeout_s):
                prepared.prepare(
                    method, self._url + path, {**session.headers, **named, **headers}, data=content, auth=session.auth
                )
                response = session.send(
                    prepared,
                    timeout=(min(timeout_s, self._timeout_s), timeout_s),
                    stream=stream,
                    allow_redirects=is_look,
                    proxies=session.proxies,
                    verify=session.verify,
                    cert=session.cert,
                )
                status = str(response.status_code)
                return response
        finally:
            self._timed(f"{method} {status}", time.monotonic() - began_s)


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _request_of(response: requests.Response) -> str:
    return f"{response.request.method} {response.request.path_url}"
