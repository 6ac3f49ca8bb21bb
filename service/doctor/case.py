"""What one run of the doctor looks at, and with what."""

import os
import time
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from service.domain.errors import ConfigurationError, PushpruneError
from service.domain.oci.names import is_repository
from service.local.snippet import address
from service.registry.probe import REPOSITORY, Probe
from service.settings.kinds import listen_host
from service.wiring import Wiring, probe

__all__ = ["REPOSITORY", "Case", "open_case"]


@dataclass(frozen=True)
class Case:
    """name: of this run's probe. repository: where it is pushed. front: the address clients push to, None = unknown.

    web: where the web process is asked; is_web_named: by whoever asks; is_web_known: or it must be
    reachable from this machine.
    patience_s: how long the probe's event is waited for.
    """

    wiring: Wiring
    name: str
    repository: str
    front: str | None
    web: str
    is_web_named: bool
    is_web_known: bool
    patience_s: float
    _probe: Probe | None

    @property
    def probe(self) -> Probe:
        """What asks the registry. Raises what kept it from answering at all, without asking a second time."""
        if isinstance(self._answers, PushpruneError):
            raise self._answers
        return self._answers

    @property
    def address(self) -> str:
        """Where the registry is to send its notifications, as far as can be told from here."""
        return self.web if self.is_web_named else address(self.wiring.settings)

    def now_s(self) -> float:
        """This machine's clock, in seconds since the epoch."""
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


def open_case(
    wiring: Wiring,
    *,
    repository: str = REPOSITORY,
    front: str | None = None,
    web: str | None = None,
    patience_s: float = 10.0,
) -> Case:
    """A run over the system that these settings mean. Raises ConfigurationError for names that cannot be."""
    if not is_repository(repository):
        raise ConfigurationError(f"--probe-repository {repository[:80]!r} is not a repository name")
    for option, url in (("--front", front), ("--web", web)):
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ConfigurationError(f"{option} {url[:200]!r} must look like https://registry.example.com:5000")
    host, _, port = wiring.settings.listen.rpartition(":")
    is_everywhere = listen_host(wiring.settings.listen) in ("", "0.0.0.0", "::")  # noqa: S104 - compared with
    name = os.urandom(8).hex()
    return Case(
        wiring=wiring,
        name=name,
        repository=repository,
        front=front,
        web=(web or f"http://{'127.0.0.1' if is_everywhere else host}:{port}").rstrip("/"),
        is_web_named=web is not None,
        is_web_known=web is not None or not is_everywhere,
        patience_s=patience_s,
        _probe=probe(wiring, name),
    )
