"""Test the abilities of a registry, with tiny pushes into a repository of pushprune."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from service.domain.errors import PushpruneError
from service.domain.oci.manifest import OCI_MANIFEST
from service.registry.answers import error_codes, translated
from service.registry.auth import RegistryAuth
from service.registry.client import RegistryClient, upload_path
from service.registry.exchange import USER_AGENT, Answer, Request, agent_with
from service.registry.session import HttpSession

# The repository for probes; it belongs to no user.
REPOSITORY = "pushprune/doctor"
_BLOB = b'{"what": "a probe of pushprune doctor"}'
_ALIASED = b'{"what": "a probe of pushprune doctor, pushed by its sha512"}'
_BLOB_DIGEST = f"sha256:{hashlib.sha256(_BLOB).hexdigest()}"
_SHA256 = f"sha256:{hashlib.sha256(_ALIASED).hexdigest()}"
_SHA512 = f"sha512:{hashlib.sha512(_ALIASED).hexdigest()}"
_CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _BLOB_DIGEST, "size": len(_BLOB)}
_MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": _CONFIG, "layers": []}, separators=(",", ":")
).encode()
_MANIFEST_DIGEST = f"sha256:{hashlib.sha256(_MANIFEST).hexdigest()}"
# The blobs that the doctor leaves behind until the next collection, which may delete them.
LEFTOVERS = frozenset({_BLOB_DIGEST, _SHA256, _MANIFEST_DIGEST})
UNKNOWN = f"sha256:{hashlib.sha256(b'nothing has this digest: pushprune doctor').hexdigest()}"
_NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Dated:
    """The time of the registry (s since the epoch), and the local time before and after the request."""

    clock_s: float
    before_s: float
    after_s: float


def look_agent(name: str) -> str:
    """Return the User-Agent of a probe's requests that change nothing."""
    return f"{USER_AGENT} (probe {name})"


class Probe(RegistryClient):
    """The registry client of the doctor.

    The events that it causes are pushprune's own traffic (safety rule 6). It pushes the same bytes every time, so that
    the leftovers of all runs exist only once.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        auth: RegistryAuth | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        delete_timeout_s: float = 300.0,
        word: Callable[[], str] | None = None,
    ) -> None:
        """name: of this run, for the User-Agent, by which the events of the probe are recognized."""
        super().__init__(
            url,
            auth=auth,
            ca_file=ca_file,
            timeout_s=timeout_s,
            delete_timeout_s=delete_timeout_s,
            parallel=1,
            word=word,
        )
        self._name, self._look_agent = name, look_agent(name)

    def date(self) -> Dated | None:
        """The time of the registry, to the second; None if its answers have no date."""
        before_s = time.time()
        answer = self.send("GET", "/v2/", {})
        after_s = time.time()
        try:
            return Dated(parsedate_to_datetime(answer.header("Date")).timestamp(), before_s, after_s)
        except ValueError:
            return None

    def try_delete(self, repository: str) -> None:
        """Check that manifests may be deleted. Nothing is deleted.

        Raises:
            DeletesDisabled: deletes are disabled at the registry.
            AccessDenied: the login may not delete.
        """
        # Distribution refuses before it looks the digest up, so the DELETE of an unknown digest is a test.
        self.delete(repository, UNKNOWN)

    def push(self, repository: str) -> None:
        """Push a manifest without a tag, and its config."""
        self.upload(repository, _BLOB_DIGEST, _BLOB)
        self.put(repository, _MANIFEST_DIGEST, OCI_MANIFEST, _MANIFEST)

    def remove(self, repository: str) -> None:
        """Delete the manifest and the link to its blob; the blob itself exists until the next collection."""
        try:
            self.delete(repository, _MANIFEST_DIGEST)
        finally:
            self._unlink(repository, _BLOB_DIGEST)

    def caches_descriptors(self, repository: str) -> bool | None:
        """True if the registry uses a blob-descriptor cache; None if its answers do not show it.

        A blob is pushed by its sha512 and stored under its sha256, with a link from the first to the second. Mounting
        the sha512 onto itself makes that link point at itself, where no blob exists. From then on, a registry that
        reads the storage answers 404, and a registry with a cache answers 200. Measured on 2.8.3 without a cache, with
        `inmemory` and with `redis`. A registry that stores the blob under its sha512 does not know the sha256.
        """
        try:
            self.upload(repository, _SHA512, _ALIASED)
            path = f"/v2/{repository}/blobs/uploads/?mount={_SHA512}&from={repository}"
            mounted = self.send("POST", path, {})
            if mounted.status == 202:
                self.send("DELETE", upload_path(mounted.header("Location")), {})
            if mounted.status != 201 or not self.claims_blob(repository, _SHA256):
                return None
            return self.claims_blob(repository, _SHA512)
        finally:
            self._unlink(repository, _SHA512, _SHA256)

    def _agent(self) -> str:
        return agent_with(self._word(), self._name) if self._word else self._look_agent

    def _unlink(self, repository: str, *digests: str) -> None:
        """Delete a repository's links to blobs, as far as the registry allows it."""
        for digest in digests:
            try:
                self.send("DELETE", f"/v2/{repository}/blobs/{digest}", {})
            except PushpruneError:
                # Deletes are probably disabled, which another check reports.
                return


def knock(url: str, repository: str, agent: str, timeout_s: float, ca_file: Path | None = None) -> Answer:
    """Send a write that changes nothing, as clients send their writes, and return the answer.

    The write cancels an upload that does not exist.

    Raises:
        RegistryUnavailable: there is no answer at this URL.
        RegistryRefused: its certificate is not trusted.
    """
    path = f"{url.rstrip('/').removesuffix('/v2')}/v2/{repository}/blobs/uploads/{_NO_UPLOAD}"
    request = Request("DELETE", path, {"User-Agent": agent})
    with translated(url, timeout_s):
        return HttpSession(url, ca_file=ca_file).send(request, timeout_s=timeout_s)


def is_registry(answer: Answer) -> bool:
    """True if a registry of version 2 sent this answer; False for a page of a proxy."""
    return bool(answer.header("Docker-Distribution-Api-Version") or error_codes(answer))
