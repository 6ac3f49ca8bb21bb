"""Read a listing of the registry, page by page, within bounds."""

import re
from collections.abc import Iterator

from service.domain.errors import RegistryUnavailable
from service.registry.answers import error_codes
from service.registry.exchange import Answer
from service.registry.transport import RegistryTransport

# Bounds for a hostile registry. Real ones stay far below: a million names in pages of 100 are 10,000 pages.
_MOST_PAGES = 20_000
_LISTING_BYTES = 256 * 1024 * 1024
# The Link header of RFC 8288, as far as registries use it.
_NEXT = re.compile(r'<([^>]*)>[^,<]*;\s*rel="?next"?', re.IGNORECASE)


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
        answer = registry.send("GET", f"{path}?{query}" if query else path, {})
        if gone_is_empty and not asked and answer.status == 404 and "NAME_UNKNOWN" in error_codes(answer):
            return
        if not asked and query != or_else and "PAGINATION_NUMBER_INVALID" in error_codes(answer):
            # catalog.maxentries is smaller than our page size; the answer does not contain its value.
            query = or_else
            continue
        asked.add(query)
        yield from _names(registry, answer, key)
        following = _NEXT.search(answer.header("Link"))
        if following is None:
            return
        # Only the query of a Link is used: behind a proxy its path may differ.
        query = following[1].partition("?")[2]
        size_bytes += len(answer.content)
        if query in asked:
            raise RegistryUnavailable(f"{registry.where} sent the same page of {path} twice")
        if len(asked) >= _MOST_PAGES or size_bytes > _LISTING_BYTES:
            raise RegistryUnavailable(f"{registry.where} sent more pages of {path} than a registry can have")


def _names(registry: RegistryTransport, answer: Answer, key: str) -> list[str]:
    body = registry.expect_object(answer)
    names = body.get(key, ...)
    if names is None:
        return []
    # A name with control characters could control a terminal, and one with half a character cannot be stored.
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise RegistryUnavailable(f"{registry.where} sent a listing without a list of {key}")
    return names
