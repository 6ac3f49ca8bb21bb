"""What the registry itself says of its work: writes not answered yet, notifications not delivered yet, its start."""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.session import open_session

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
    """When the registry's process was started: in its own words, and how long before it said so (ms)."""

    said: str
    age_ms: int


class InFlight:
    """Reads the registry's debug server (http.debug.addr, with prometheus enabled).

    urls: one for each registry of those that share a storage behind a balancer. What one URL's name stands for is asked
    at every address: a balancer, or a round of DNS, would have only one of them answer.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float) -> None:
        self._sessions = {url: open_session(url) for url in urls}
        self._timeout_s = timeout_s

    def writes(self) -> int:
        """How many uploads and manifests are under way; a manifest that is being read counts as well.

        Raises RegistryUnavailable, or RegistryRefused where one of them does not say.
        """
        return sum(_writes(at, metrics) for at, metrics in self._answers("/metrics"))

    def undelivered(self) -> int:
        """How many notifications wait to be delivered to a path that ends in /notifications."""
        return sum(_undelivered(at, said) for at, said in self._answers("/debug/vars"))

    def cache_requests(self) -> float:
        """How often the blob-descriptor cache was asked since the registry started; 0 where there is none.

        Raises as `writes`.
        """
        samples = (sample for at, metrics in self._answers("/metrics") for sample in _samples(at, metrics))
        return sum(sample.value for sample in samples if (sample.name, sample.labels) in _CACHE)

    def starts(self) -> tuple[Start, ...]:
        """When each of them was started, as far as they say. Nobody waits long for it. Raises as `writes`."""
        timeout_s = min(self._timeout_s, _START_TIMEOUT_S)
        starts = (_start(at, metrics) for at, metrics in self._answers("/metrics", timeout_s))
        return tuple(start for start in starts if start)

    def _answers(self, path: str, timeout_s: float | None = None) -> Iterator[tuple[str, requests.Response]]:
        """What all of them say; raises when one does not."""
        for url, session in self._sessions.items():
            for at, host in _addresses(url):
                yield at, self._get(session, at + path, host, timeout_s or self._timeout_s)

    def _get(self, session: requests.Session, url: str, host: str, timeout_s: float) -> requests.Response:
        try:
            response = session.get(url, headers={"Host": host}, timeout=timeout_s, allow_redirects=False)
        except requests.RequestException as error:
            raise RegistryUnavailable(f"registry.debug_url: {url} does not answer") from error
        if response.status_code != 200:
            raise RegistryRefused(
                f"{url} answers {response.status_code}: set registry.debug_url to the registry's "
                "http.debug.addr, and `http: debug: prometheus: enabled: true` there"
            )
        return response


def _addresses(url: str) -> list[tuple[str, str]]:
    """The same URL at each address of its host, with what is to be said for a host.

    Of both kinds the older: one machine often has one of each. With TLS the name is needed.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    if parts.scheme != "http":
        return [(url, parts.netloc)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RegistryUnavailable(f"registry.debug_url: nobody knows {host}") from error
    family = min((one[0] for one in found), key=lambda kind: kind != socket.AF_INET)
    numbers = sorted({str(one[4][0]) for one in found if one[0] == family})
    spoken = (f"[{number}]" if ":" in number else number for number in numbers)
    return [(urlunsplit(parts._replace(netloc=f"{number}:{port}")), parts.netloc) for number in spoken]


def _samples(at: str, metrics: requests.Response) -> list[Sample]:
    """Return every sample of an answer in Prometheus' text format."""
    try:
        return [sample for family in text_string_to_metric_families(metrics.text) for sample in family.samples]
    except ValueError as error:
        raise RegistryRefused(f"{at}/metrics is not in Prometheus' text format ({error})") from error


def _start(at: str, metrics: requests.Response) -> Start | None:
    """Return when a process started, by the clock of its answer."""
    started_s = next((sample.value for sample in _samples(at, metrics) if sample.name == _START), None)
    try:
        answered_s = parsedate_to_datetime(metrics.headers.get("Date", "")).timestamp()
    except ValueError:
        return None
    if started_s is None:
        return None
    return Start(repr(started_s), round((answered_s - started_s) * 1000))


def _writes(at: str, metrics: requests.Response) -> int:
    samples = _samples(at, metrics)
    counts = [s.value for s in samples if s.name == _IN_FLIGHT and s.labels.get("handler") in _WRITERS]
    if not counts:
        raise RegistryRefused(
            f"{at}/metrics does not tell of requests in flight: set `http: debug: prometheus: enabled: true`"
        )
    return sum(int(count) for count in counts)


def _undelivered(at: str, said: requests.Response) -> int:
    try:
        endpoints = said.json()["registry"]["notifications"]["endpoints"] or []
        return sum(int(one["Metrics"]["Pending"]) for one in endpoints if _OURS.search(one["url"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryRefused(f"{at}/debug/vars does not tell of notifications ({error!r})") from error
