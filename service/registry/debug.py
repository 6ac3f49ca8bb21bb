"""Reads the registry's debug server (http.debug.addr): what its API does not tell."""

import re

import requests

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.session import open_session

# 2.8 says it with a label; 3 later in a name of its own.
_CACHE = re.compile(r'^registry_storage_cache_(?:total\{type="Request"\}|requests_total) (\S+)$', re.MULTILINE)


def cache_requests(url: str, timeout_s: float) -> float:
    """How often the blob-descriptor cache was asked since the registry started; a registry without one says nothing.

    Raises RegistryUnavailable, or RegistryRefused where there are no metrics.
    """
    found = _CACHE.search(_get(f"{url}/metrics", timeout_s).text)
    return float(found[1]) if found else 0.0


def undelivered(url: str, timeout_s: float) -> int:
    """How many notifications wait to be delivered to a path that ends in /notifications."""
    try:
        endpoints = _get(f"{url}/debug/vars", timeout_s).json()["registry"]["notifications"]["endpoints"] or []
        return sum(int(one["Metrics"]["Pending"]) for one in endpoints if one["url"].endswith("/notifications"))
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryRefused(f"{url}/debug/vars does not tell of notifications") from error


def _get(url: str, timeout_s: float) -> requests.Response:
    try:
        response = open_session(url).get(url, timeout=timeout_s, allow_redirects=False)
    except requests.RequestException as error:
        raise RegistryUnavailable(f"the registry's debug server does not answer at {url}") from error
    if response.status_code != 200:
        raise RegistryRefused(
            f"{url} answers {response.status_code}: set `http: debug: prometheus: enabled: true` there"
        )
    return response
