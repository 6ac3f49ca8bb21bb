"""The client of the registry's HTTP API: tags, manifests, blobs, deletions, the catalog."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import quote

from service.domain.errors import ManifestRefused, MisnamedManifest, RegistryUnavailable, TagDeletesUnknown
from service.domain.oci.manifest import DOCKER_MANIFEST, MANIFEST_TYPES
from service.domain.oci.names import TAG_RULE, is_digest, is_tag
from service.registry.address import checked_digest, checked_repository, manifest_path
from service.registry.answers import error_codes, is_gone, refusal, request_of
from service.registry.exchange import Answer, AnswerCompressed, AnswerTooLarge, BodyLost
from service.registry.manifest import Manifest, ManifestHead, ManifestMemory
from service.registry.pages import read_pages
from service.registry.transport import RegistryTransport

CATALOG_PAGE = 1000
# Distribution accepts no larger manifest.
_MANIFEST_BYTES = 4 * 1024 * 1024
# About 10,000 manifests of usual images.
_MEMORY_BYTES = 16 * 1024 * 1024
_MANIFESTS_ACCEPTED = ", ".join(MANIFEST_TYPES)


class RegistryClient(RegistryTransport):
    """The HTTP API of one registry.

    Every method raises the errors of RegistryTransport, and ValueError for a name that breaks the registry's grammar.
    """

    @cached_property
    def _memory(self) -> ManifestMemory:
        return ManifestMemory(_MEMORY_BYTES)

    def ping(self, timeout_s: float | None = None) -> None:
        """Check that the registry answers and accepts the login. timeout_s: instead of the usual timeout."""
        self.expect_object(self.send("GET", "/v2/", {}, timeout_s=timeout_s))

    def tags(self, repository: str) -> tuple[str, ...]:
        """Every tag, in the registry's order; () for an emptied or unknown repository. Never an incomplete listing."""
        return tuple(
            read_pages(self, f"/v2/{checked_repository(repository)}/tags/list", "tags", "", gone_is_empty=True)
        )

    def repositories(self, after: str = "") -> Iterator[str]:
        """Every repository of the catalog after the name `after`, emptied ones included, read in pages of 1000.

        If a page fails, the iteration raises: the repositories until then are not the whole catalog.
        """
        last = f"last={quote(after, safe='')}" if after else ""
        most = f"n={CATALOG_PAGE}&{last}" if last else f"n={CATALOG_PAGE}"
        return read_pages(self, "/v2/_catalog", "repositories", most, or_else=last)

    def head(self, repository: str, reference: str, *, unless: str | None = None) -> ManifestHead | None:
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
        answer = self.send("HEAD", manifest_path(repository, reference), headers)
        if answer.status == 304 and unless is not None:
            return ManifestHead(unless, "")
        if is_gone(answer):
            return None
        self.expect(answer, 200)
        return ManifestHead(self.digest_of(answer), _media_type(answer))

    def get(self, repository: str, reference: str) -> Manifest | None:
        """Return the manifest of a tag or digest, checked against its digest; None if the registry does not have it."""
        accepted = {"Accept": _MANIFESTS_ACCEPTED}
        answer = self.send("GET", manifest_path(repository, reference), accepted, most_bytes=_MANIFEST_BYTES)
        if is_gone(answer):
            return None
        self.expect(answer, 200)
        digest = self.digest_of(answer)
        if digest != _sha256(answer.content) or (is_digest(reference) and digest != reference):
            raise MisnamedManifest(f"{self.where} sent a manifest of {repository} that does not match {digest}")
        manifest = Manifest(digest, _media_type(answer), answer.content)
        self._memory.add(repository, manifest)
        return manifest

    def recall(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest that was read before, without a request; None if it is not remembered.

        The registry may have deleted it meanwhile.
        """
        return self._memory.get(repository, digest)

    def blob(self, repository: str, digest: str, limit_bytes: int) -> bytes | None:
        """Return a small blob, such as the config of an image, checked against its digest.

        None if the blob does not exist, or is larger than `limit_bytes`.
        """
        path = f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}"
        try:
            answer = self.send("GET", path, {}, most_bytes=limit_bytes)
        except RegistryUnavailable as error:
            if isinstance(error.__cause__, AnswerTooLarge):
                return None
            raise
        if answer.status == 404:
            return None
        self.expect(answer, 200)
        if _sha256(answer.content) != digest:
            raise RegistryUnavailable(f"{self.where} sent a blob of {repository} that does not match {digest}")
        return answer.content

    def has_blob(self, repository: str, digest: str) -> bool:
        """True if a blob exists and can be read."""
        # Only a GET proves this: with a blob-descriptor cache a HEAD also succeeds for a deleted blob.
        path = f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}"
        try:
            answer = self.send("GET", path, {"Range": "bytes=0-0"}, most_bytes=1)
        except RegistryUnavailable as error:
            if isinstance(error.__cause__, BodyLost):
                return False
            # The registry sends more than the first byte, or sends it compressed: there is one.
            if isinstance(error.__cause__, AnswerTooLarge | AnswerCompressed):
                return True
            raise
        if answer.status == 404:
            return False
        if answer.status not in (200, 206):
            self.expect(answer, 206)
        return bool(answer.content) or _is_empty(digest)

    def claims_blob(self, repository: str, digest: str) -> bool:
        """True if the registry claims to have a blob. The answer may come from a stale cache."""
        answer = self.send("HEAD", f"/v2/{checked_repository(repository)}/blobs/{checked_digest(digest)}", {})
        if answer.status == 404:
            return False
        self.expect(answer, 200)
        return True

    def upload(self, repository: str, digest: str, content: bytes) -> None:
        """Upload a blob in one request."""
        begun = self.send("POST", f"/v2/{checked_repository(repository)}/blobs/uploads/", {})
        self.expect(begun, 202)
        path = upload_path(begun.header("Location"))
        query = f"{'&' if '?' in path else '?'}digest={checked_digest(digest)}"
        self.expect(self.send("PUT", path + query, {"Content-Type": "application/octet-stream"}, content), 201)

    def takes_writes(self, repository: str) -> bool:
        """True if the registry accepts pushes; False if it is read-only."""
        # The body is no manifest, so that the registry stores nothing. Starting and cancelling an upload instead would
        # leave a folder that no collection deletes (measured on 2.8.3).
        path = manifest_path(repository, "pushprune-probe")
        answer = self.send("PUT", path, {"Content-Type": DOCKER_MANIFEST}, b"no manifest")
        if answer.status == 405:
            return False
        if answer.status != 400 or "MANIFEST_INVALID" not in error_codes(answer):
            raise refusal(answer, self.where, request_of(answer))
        return True

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Store a manifest under a tag or its digest and return the digest.

        Raises:
            ManifestRefused: the registry never takes these bytes.
            WritesDisabled: the registry is read-only.
        """
        answer = self.send("PUT", manifest_path(repository, reference), {"Content-Type": media_type}, content)
        if answer.status == 400 and (codes := error_codes(answer)):
            missing = ": layers or parts that it needs are missing" if "MANIFEST_BLOB_UNKNOWN" in codes else ""
            raise ManifestRefused(f"{refusal(answer, self.where, request_of(answer))}{missing}")
        self.expect(answer, 201)
        digest = self.digest_of(answer)
        if digest != _sha256(content):
            raise RegistryUnavailable(f"{self.where} stored another manifest than the one sent to {repository}")
        return digest

    def delete(self, repository: str, digest: str) -> bool:
        """Delete a manifest and every tag that points at it; False if the manifest did not exist.

        Raises:
            DeletesDisabled: deletes are disabled at the registry, or the registry is read-only.
        """
        path = f"/v2/{checked_repository(repository)}/manifests/{checked_digest(digest)}"
        answer = self.send("DELETE", path, {}, timeout_s=self._delete_timeout_s)
        if is_gone(answer):
            return False
        self.expect(answer, 202)
        return True

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its manifest; False if the tag did not exist.

        Raises:
            TagDeletesUnknown: the registry cannot delete a single tag (2.8).
            DeletesDisabled: as `delete`.
        """
        if not is_tag(tag):
            raise ValueError(f"{tag[:80]!r} is not a tag: {TAG_RULE}")
        answer = self.send("DELETE", manifest_path(repository, tag), {}, timeout_s=self._delete_timeout_s)
        if is_gone(answer):
            return False
        if answer.status == 400 and "DIGEST_INVALID" in error_codes(answer):
            raise TagDeletesUnknown(f"{self.where} cannot delete a single tag")
        self.expect(answer, 202)
        return True


def _media_type(answer: Answer) -> str:
    return answer.header("Content-Type").partition(";")[0].strip()


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_empty(digest: str) -> bool:
    """True if this is the digest of a blob without bytes, such as an empty file that was pushed as an artifact."""
    algorithm, _, hexadecimal = digest.partition(":")
    return hashlib.new(algorithm).hexdigest() == hexadecimal


def upload_path(location: str) -> str:
    """The path of an upload, from the Location header."""
    # Behind a proxy, only the part from /v2/ on is reliable.
    _, root, rest = location.partition("#")[0].partition("/v2/")
    if not root:
        raise RegistryUnavailable("the registry started an upload without a valid Location header")
    return root + rest
