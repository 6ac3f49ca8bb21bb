"""One run of the doctor: the system to check, and the options of the run."""

import os
import time
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from service.domain.errors import ConfigurationError, PushpruneError, RegistryUnavailable
from service.domain.finding import Finding, warning
from service.domain.oci.names import REPOSITORY_RULE, is_repository
from service.local.ports import reached
from service.local.snippet import address
from service.registry.probe import REPOSITORY, Probe
from service.wiring import Wiring, probe

__all__ = ["REPOSITORY", "Case", "open_case"]


AGAIN = "pushprune doctor"
ONCE_FIXED = f"{AGAIN}   # once that is fixed"


@dataclass
class Case:
    """One run of the doctor.

    Attributes:
        name: the name of this run's probe.
        repository: the repository that the probe is pushed to.
        front: the address that clients push to; None if unknown.
        web: the URL of the web process.
        is_web_named: True if the user gave `web`.
        patience_s: the longest wait for the probe's event.
    """

    wiring: Wiring
    name: str
    repository: str
    front: str | None
    web: str
    is_web_named: bool
    patience_s: float
    _probe: Probe | None

    @property
    def probe(self) -> Probe:
        """The client that probes the registry. Raises the error of an earlier request, without another request."""
        if isinstance(self._answers, PushpruneError):
            raise self._answers
        return self._answers

    def note_unavailable(self, error: RegistryUnavailable) -> None:
        """Have the later checks of the registry raise this error, without another request."""
        self._answers = error

    @property
    def address(self) -> str:
        """The URL for the registry's notifications, as far as this machine knows."""
        return self.web if self.is_web_named else address(self.wiring.settings)

    def now_s(self) -> float:
        """Return this machine's time in seconds since the epoch."""
        return time.time()

    @cached_property
    def _answers(self) -> Probe | PushpruneError:
        if self._probe is None:
            return ConfigurationError("registry.url is not set")
        try:
            self._probe.ping()
        except PushpruneError as error:
            return error
        return self._probe


def not_now(name: str) -> Finding:
    """Return the finding of a check that a garbage collection prevents."""
    return warning(name, "not checked: a garbage collection is running", "pushprune doctor   # afterwards")


def open_case(
    wiring: Wiring,
    *,
    repository: str = REPOSITORY,
    front: str | None = None,
    web: str | None = None,
    patience_s: float = 10.0,
) -> Case:
    """Prepare a run on the system of these settings. Raises ConfigurationError for an invalid repository or URL."""
    if not is_repository(repository):
        raise ConfigurationError(f"--probe-repository {repository[:80]!r} is not a repository name: {REPOSITORY_RULE}")
    for option, url in (("--front", front), ("--web", web)):
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ConfigurationError(f"{option} {url[:200]!r} must look like https://registry.example.com:5000")
    name = os.urandom(8).hex()
    return Case(
        wiring=wiring,
        name=name,
        repository=repository,
        front=front,
        web=(web or reached(wiring.settings.listen)).rstrip("/"),
        is_web_named=web is not None,
        patience_s=patience_s,
        _probe=probe(wiring, name),
    )
