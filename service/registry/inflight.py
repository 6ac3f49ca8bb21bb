"""What the registry itself says of its work: writes not answered yet, notifications not delivered yet, its start."""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.session import open_session

_WRITES = re.compile(
    r'^registry_http_in_flight_requests\{handler="(?:blob_upload|blob_upload_chunk|manifest)"\} (\S+)$', re.MULTILINE
)
# 2.8 says it with a label; 3 later in a name of its own.
_CACHE = re.compile(r'^registry_storage_cache_(?:total\{type="Request"\}|requests_total) (\S+)$', re.MULTILINE)
_START = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)
_START_TIMEOUT_S = 1.0
_OURS = re.compile(r"/notifications/?$")


@dataclass(frozen=True, slots=True)
class Start:
    """When the registry's process was started: in its own words, and how long before it said so (ms)."""

    said: str
    age_ms: int


class InFlight:
    """Reads the registry's debug server (http.debug.addr, with prometheus enabled)."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session = open_session(url)

    def writes(self) -> int:
        """How many uploads and manifests are under way; a manifest that is being read counts as well.

        Raises RegistryUnavailable, or RegistryRefused where it does not say.
        """
        found = _WRITES.findall(self._get("/metrics").text)
        if not found:
            raise RegistryRefused(
                f"{self._url}/metrics does not tell of requests in flight: set `http: debug: prometheus: enabled: true`"
            )
        return sum(int(float(count)) for count in found)

    def undelivered(self) -> int:
        """How many notifications wait to be delivered to a path that ends in /notifications."""
        try:
            endpoints = self._get("/debug/vars").json()["registry"]["notifications"]["endpoints"] or []
            return sum(int(one["Metrics"]["Pending"]) for one in endpoints if _OURS.search(one["url"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryRefused(f"{self._url}/debug/vars does not tell of notifications ({error!r})") from error

    def cache_requests(self) -> float:
        """How often the blob-descriptor cache was asked since the registry started; 0 where there is none.

        Raises as `writes`.
        """
        found = _CACHE.search(self._get("/metrics").text)
        return float(found[1]) if found else 0.0

    def start(self) -> Start | None:
        """When it was started; None where it does not say. Nobody waits long for it. Raises as `writes`."""
        response = self._get("/metrics", min(self._timeout_s, _START_TIMEOUT_S))
        found, date = _START.search(response.text), response.headers.get("Date", "")
        try:
            return (
                Start(found[1], round((parsedate_to_datetime(date).timestamp() - float(found[1])) * 1000))
                if found
                else None
            )
        except ValueError:
            return None

    def _get(self, path: str, timeout_s: float | None = None) -> requests.Response:
        try:
            response = self._session.get(self._url + path, timeout=timeout_s or self._timeout_s, allow_redirects=False)
        except requests.RequestException as error:
            raise RegistryUnavailable(f"registry.debug_url {self._url} does not answer") from error
        if response.status_code != 200:
            raise RegistryRefused(
                f"{self._url}{path} answers {response.status_code}: set registry.debug_url to the registry's "
                "http.debug.addr, and `http: debug: prometheus: enabled: true` there"
            )
        return response
