"""Read the registry's debug server: unanswered writes, undelivered notifications, the start of its process."""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.answers import read_json
from service.registry.exchange import FAILURES, Answer, Request
from service.registry.session import HttpSession

_IN_FLIGHT, _START = "registry_http_in_flight_requests", "process_start_time_seconds"
_WRITERS = frozenset({"blob_upload", "blob_upload_chunk", "manifest"})
# 2.8 counts cache requests with a label, 3 in a metric of their own.
_CACHE: tuple[tuple[str, dict[str, str]], ...] = (
    ("registry_storage_cache_total", {"type": "Request"}),
    ("registry_storage_cache_requests_total", {}),
)
_START_TIMEOUT_S = 1.0
_OURS = re.compile(r"/notifications/?$")


@dataclass(frozen=True, slots=True)
class Start:
    """The start of the registry's process.

    Attributes:
        reported: the start time, as the registry prints it.
        age_ms: the age of the process when the registry answered.
    """

    reported: str
    age_ms: int


class DebugServer:
    """The debug servers of the registry (http.debug.addr, with prometheus enabled).

    A host name is resolved and every address is asked: through a load balancer, or DNS round robin, only one registry
    would answer.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float) -> None:
        """urls: one for each registry, if several share a storage. timeout_s: for each request."""
        self._sessions = {url: HttpSession(url) for url in urls}
        self._timeout_s = timeout_s

    def writes(self) -> int:
        """The number of uploads and manifest requests in progress. Reading a manifest counts as well.

        Raises:
            RegistryUnavailable: a debug server does not answer.
            RegistryRefused: a debug server does not publish this metric.
        """
        return sum(_writes(at, metrics) for at, metrics in self._answers("/metrics"))

    def manifests(self) -> int:
        """The number of requests for manifests in progress, reading and writing. Raises the same as `writes`."""
        return sum(_writes(at, metrics, frozenset({"manifest"})) for at, metrics in self._answers("/metrics"))

    def undelivered(self) -> int:
        """The number of notifications that wait for delivery to a path that ends in /notifications.

        Raises the same as `writes`.
        """
        return sum(_undelivered(at, variables) for at, variables in self._answers("/debug/vars"))

    def cache_requests(self) -> float:
        """The number of requests to the blob-descriptor cache since the registry started; 0 without a cache.

        Raises the same as `writes`.
        """
        samples = (sample for at, metrics in self._answers("/metrics") for sample in _samples(at, metrics))
        return sum(sample.value for sample in samples if (sample.name, sample.labels) in _CACHE)

    def starts(self) -> tuple[Start, ...]:
        """The start of each registry that publishes it. Raises the same as `writes`."""
        # The caller asks regularly and must not wait long for a hint.
        timeout_s = min(self._timeout_s, _START_TIMEOUT_S)
        starts = (_start(at, metrics) for at, metrics in self._answers("/metrics", timeout_s))
        return tuple(start for start in starts if start)

    def _answers(self, path: str, timeout_s: float | None = None) -> Iterator[tuple[str, Answer]]:
        """Yield the answer of every debug server, with its address; raise if one does not answer."""
        for url, session in self._sessions.items():
            for at, host in _addresses(url):
                yield at, self._get(session, at + path, host, timeout_s or self._timeout_s)

    def _get(self, session: HttpSession, url: str, host: str, timeout_s: float) -> Answer:
        try:
            answer = session.send(Request("GET", url, {"Host": host}), timeout_s=timeout_s)
        except FAILURES as error:
            raise RegistryUnavailable(f"registry.debug_url: {url} does not answer") from error
        if answer.status != 200:
            raise RegistryRefused(
                f"{url} answers {answer.status}: set registry.debug_url to the registry's "
                "http.debug.addr, and `http: debug: prometheus: enabled: true` there"
            )
        return answer


def _addresses(url: str) -> list[tuple[str, str]]:
    """The URL at each address of its host, each with the value of the Host header."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    # TLS checks the certificate against the name, so the name cannot be replaced by an address.
    if parts.scheme != "http":
        return [(url, parts.netloc)]
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RegistryUnavailable(f"registry.debug_url: the host name {host} cannot be resolved") from error
    # IPv4 if there is any: one machine often has an address of each kind, and must not be counted twice.
    family = min((address[0] for address in addresses), key=lambda kind: kind != socket.AF_INET)
    numbers = sorted({str(address[4][0]) for address in addresses if address[0] == family})
    hosts = (f"[{number}]" if ":" in number else number for number in numbers)
    return [(urlunsplit(parts._replace(netloc=f"{number}:{port}")), parts.netloc) for number in hosts]


def _samples(at: str, metrics: Answer) -> list[Sample]:
    """Return every sample of an answer in Prometheus' text format."""
    try:
        return [
            sample for family in text_string_to_metric_families(metrics.content.decode()) for sample in family.samples
        ]
    except ValueError as error:
        raise RegistryRefused(f"{at}/metrics is not in Prometheus' text format ({error})") from error


def _start(at: str, metrics: Answer) -> Start | None:
    """The start of a process, measured by the clock of its own answer; None if the answer does not contain it."""
    started_s = next((sample.value for sample in _samples(at, metrics) if sample.name == _START), None)
    try:
        answered_s = parsedate_to_datetime(metrics.header("Date")).timestamp()
    except ValueError:
        return None
    if started_s is None:
        return None
    return Start(repr(started_s), round((answered_s - started_s) * 1000))


def _writes(at: str, metrics: Answer, handlers: frozenset[str] = _WRITERS) -> int:
    samples = _samples(at, metrics)
    counts = [s.value for s in samples if s.name == _IN_FLIGHT and s.labels.get("handler") in handlers]
    if not counts:
        raise RegistryRefused(
            f"{at}/metrics does not count requests in flight: set `http: debug: prometheus: enabled: true`"
        )
    return sum(int(count) for count in counts)


def _undelivered(at: str, variables: Answer) -> int:
    try:
        endpoints = read_json(variables)["registry"]["notifications"]["endpoints"] or []
        return sum(int(endpoint["Metrics"]["Pending"]) for endpoint in endpoints if _OURS.search(endpoint["url"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryRefused(f"{at}/debug/vars does not count notifications ({error!r})") from error
