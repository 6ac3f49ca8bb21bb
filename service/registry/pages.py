"""Read a listing of the registry, page by page, within bounds."""

from collections.abc import Iterator

import requests

from service.domain.errors import RegistryUnavailable
from service.registry.answers import error_codes
from service.registry.transport import RegistryTransport

# Bounds for a hostile registry. Real ones stay far below: a million names in pages of 100 are 10,000 pages.
_MOST_PAGES = 20_000
_LISTING_BYTES = 256 * 1024 * 1024


def read_pages(
    registry: RegistryTransport, path: str, key: str, query: str, *, or_else: str = "", gone_is_empty: bool = False
) -> Iterator[str]:
    """Yield the strings under `key`, page by page.

    Args:
        registry: to ask.
        path: of the listing.
        key: of the list in each answer.
        query: of the first page.
        or_else: the query for a registry that refuses the page size in `query`; the registry then uses its own.
        gone_is_empty: an unknown repository is an empty listing, not an error.
    """
    asked: set[str] = set()
    size_bytes = 0
    while True:
        response = registry.send("GET", f"{path}?{query}" if query else path, {})
        if gone_is_empty and not asked and response.status_code == 404 and "NAME_UNKNOWN" in error_codes(response):
            return
        if not asked and query != or_else and "PAGINATION_NUMBER_INVALID" in error_codes(response):
            # catalog.maxentries is smaller than our page size; the answer does not contain its value.
            query = or_else
            continue
        asked.add(query)
        yield from _names(registry, response, key)
        following = response.links.get("next", {}).get("url")
        if following is None:
            return
        # Only the query of a Link is used: behind a proxy its path may differ.
        query = following.partition("?")[2]
        size_bytes += len(response.content)
        if query in asked:
            raise RegistryUnavailable(f"{registry.where} sent the same page of {path} twice")
        if len(asked) >= _MOST_PAGES or size_bytes > _LISTING_BYTES:
            raise RegistryUnavailable(f"{registry.where} sent more pages of {path} than a registry can have")


def _names(registry: RegistryTransport, response: requests.Response, key: str) -> list[str]:
    body = registry.expect_object(response)
    names = body.get(key, ...)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RegistryUnavailable(f"{registry.where} sent a listing without a list of {key}")
    return names
