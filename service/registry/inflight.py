"""What the registry itself says of its work: writes that are not answered yet, and notifications not delivered yet."""

import re

import requests

from service.domain.errors import RegistryRefused, RegistryUnavailable

_WRITES = re.compile(
    r'^registry_http_in_flight_requests\{handler="(?:blob_upload|blob_upload_chunk|manifest)"\} (\S+)$', re.MULTILINE
)
_OURS = re.compile(r"/notifications/?$")


class InFlight:
    """Reads the registry's debug server (http.debug.addr, with prometheus enabled)."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False

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

    def _get(self, path: str) -> requests.Response:
        try:
            response = self._session.get(self._url + path, timeout=self._timeout_s, allow_redirects=False)
        except requests.RequestException as error:
            raise RegistryUnavailable(f"registry.debug_url {self._url} does not answer") from error
        if response.status_code != 200:
            raise RegistryRefused(
                f"{self._url}{path} answers {response.status_code}: set registry.debug_url to the registry's "
                "http.debug.addr, and `http: debug: prometheus: enabled: true` there"
            )
        return response
