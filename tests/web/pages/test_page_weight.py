"""A page with its panels, styles and scripts weighs at most 150 kB, compressed, however much there is to show."""

import gzip
import html
import random
import re
import string

import pytest

from service.domain.collection.run import Run
from service.store.keys import short
from service.store.live_tags import packed_live
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.web.pages.browser import TOKENS, Browser

MOST_BYTES = 150_000
# More than a page may show at once.
TAGS = 1_500
_LETTERS = string.ascii_lowercase + string.digits
_RANDOM = random.Random(1)


def longest(length: int, number: int) -> str:
    """Return a name of this length that does not compress."""
    return f"{number:05}" + "".join(_RANDOM.choices(_LETTERS, k=length - 5))


REPOSITORY = "/".join(longest(63, number) for number in range(4))[:255]
NAMES = [longest(128, number) for number in range(TAGS)]
TAG = NAMES[0]
PAGES = (
    "/", "/repositories", "/repositories?view=map", f"/repository/{REPOSITORY}",
    f"/repository/{REPOSITORY}?order=expires&status=delete", f"/repository/{REPOSITORY}?status=deleted",
    f"/tag/{REPOSITORY}:{TAG}", "/activity", "/search?q=0", "/trash", "/approvals", "/policy", "/collection",
    "/collection/run/7", "/health", "/docs",
)  # fmt: skip


@pytest.fixture
def edge(serve_over_valkey: ServeEdge) -> Edge:
    """A repository with 1,500 tags that waits for an approval, many others, a full trash and a long log."""
    edge = serve_over_valkey(
        policy=keep_last(1, hold_over=1, hold_min=0), tokens=TOKENS, gc={"command": "registry garbage-collect x"}
    )
    keys, pushed = edge.store.connection.keys, {}
    live, trash = {}, {}
    for number, name in enumerate(NAMES):
        known, at_us = short(digest_of(name)), 1_700_000_000_000_000 + number
        live[name], pushed[name] = packed_live(f"{known} {number}! {longest(128, number)}", {}), at_us
        trash[f"{name[::-1]} {known}"] = f"{known} {at_us} {at_us} 7 {longest(200, number)}"
    with edge.redis.pipeline() as pipe:
        pipe.hset(keys.of("live", REPOSITORY), mapping=live)
        pipe.zadd(keys.of("tags", REPOSITORY), pushed)
        pipe.hset(keys.of("deleted", REPOSITORY), mapping=trash)
        pipe.zadd(keys.of("trashed"), {f"{REPOSITORY} {digest_of('old')}": 2})
        pipe.execute()
    moves = [
        event(repository=REPOSITORY, tag=TAG, digest=longest(9, at), at=at, useragent=longest(200, at))
        for at in range(100)
    ]
    others = [event(repository="/".join(longest(50, number + part) for part in range(5))) for number in range(200)]
    edge.heard(*moves[:50])
    edge.heard(*moves[50:], *others[:50])
    edge.heard(*others[50:])
    edge.store.collection_runs.record(Run(7, 8, "done", "by hand"))
    edge.store.collection_runs.keep_log(7, gzip.compress("\n".join(NAMES).encode()))
    history = edge.store.history
    assert history.commit(history.snapshot(REPOSITORY), edge.wiring.verdicts.plan(REPOSITORY), "held")
    return edge


def weight(browser: Browser, path: str) -> int:
    """Return the compressed bytes of a page and of all that it loads."""
    page = browser.text(path)
    panels = re.findall(r'hx-get="([^"]+)" hx-trigger="load', page)
    files = re.findall(r'(?:src|href)="([^"]+\.(?:css|js|svg)[^"]*)"', page)
    loaded = [browser.panel(html.unescape(panel)).data for panel in panels]
    loaded += [browser.get(html.unescape(file)).data for file in files]
    return sum(len(gzip.compress(content)) for content in (page.encode(), *loaded))


def test_no_page_weighs_more_than_150_kilobytes(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    weights = {path.replace(REPOSITORY, "REPO").replace(TAG, "TAG"): weight(browser, path) for path in PAGES}
    assert min(weights.values()) > 20_000
    assert {path: size for path, size in weights.items() if size > MOST_BYTES} == {}
