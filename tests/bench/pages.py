"""The time of the dashboard's pages: a repository with 5,000 tags, a list of 10,000 repositories."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flask.testing import FlaskClient

from service.domain.policy.model import Policy
from service.domain.usage import UNMEASURED
from service.settings import load_settings
from service.web.app import create_app
from service.web.pages.rendering import compile_templates
from service.wiring import Wiring, wire
from tests.bench.figure import Figure, percentile
from tests.fakes.valkey import Valkey
from tests.support.makers import event, understood

TAGS, REPOSITORIES, TIMES = 5_000, 10_000, 9
MOST_MS = 300
# A search says what there was no time for.
SEARCH_MS = 1_000
_AT_ONCE = 200
_PAGES = (
    ("the frame of a page", "/repository/shop/api"),
    ("the same, looked at again", "/panels/repository/tags/shop/api"),
    ("…its largest tags", "/panels/repository/tags/shop/api?order=-size"),
    ("…its totals", "/panels/repository/head/shop/api"),
    ("…its tags to be deleted, the next first", "/panels/repository/tags/shop/api?status=delete&order=expires"),
    ("a tag of it", "/panels/tag/why/shop/api:t00017"),
    ("…its time line", "/panels/tag/line/shop/api:t04999"),
    (f"a list of {REPOSITORIES:,} repositories", "/panels/repositories/list"),
    ("…the latest push first", "/panels/repositories/list?order=-pushed"),
    ("…the next deletion first", "/panels/repositories/list?order=expires"),
    ("…the largest first", "/panels/repositories/list?order=-size"),
    ("…as a treemap", "/panels/repositories/list?view=map"),
    ("…found by a part of the name", "/panels/repositories/list?search=77"),
    ("what happens now", "/panels/overview/now"),
    ("what happened in 7 days", "/panels/overview/past?period=7d"),
)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        policy = Policy.model_validate({"rules": [{"name": "last", "keep": {"last": 100, "pulled_within": "30d"}}]})
        # The registry never had these repositories: by default only 1,000 of them are recorded.
        history = {"unseen_repositories": REPOSITORIES + 1, "repository_layers": TAGS, "repository_entries": TAGS}
        settings = load_settings(
            environ={}, redis={"url": valkey.url}, policy=policy, data_dir=Path(folder), history=history
        )
        wiring = wire(settings)
        _fill(wiring)
        first = iter([_fresh(wiring) for _ in range(TIMES)])
        yield _figure(f"a repository with {TAGS:,} tags, at the first look", lambda: next(first), _PAGES[1][1])
        http = create_app(wiring).test_client()
        for name, path in _PAGES:
            yield _figure(name, lambda: http, path)
        yield _figure("a search in all of it", lambda: http, "/search?q=0499", SEARCH_MS)


def _fresh(wiring: Wiring) -> FlaskClient:
    app = create_app(wiring)
    # `pushprune web` does so when it starts.
    compile_templates(app)
    return app.test_client()


def _fill(wiring: Wiring) -> None:
    events = [event(tag=f"t{number:05}", at=number, blobs={f"l{number}": 1000 + number}) for number in range(TAGS)]
    events += [event(repository=f"team{number % 97}/app{number}", at=number) for number in range(REPOSITORIES)]
    history = wiring.store.history
    history.record(understood(events[0]))
    # Of a repository that was never compared, only 1,000 tags are recorded.
    wiring.store.facts.adopt(history.snapshot("shop/api"), complete=True)
    for start in range(0, len(events), _AT_ONCE):
        history.record(understood(*events[start : start + _AT_ONCE]))

    for number, name in enumerate(history.repositories()):
        wiring.store.usage.note_size(name, UNMEASURED.followed_by(number * 1000, 0, history.generation(name), number))
    assert len(history.live("shop/api")) == TAGS
    assert len(history.repositories()) == REPOSITORIES + 1


def _figure(name: str, client: Callable[[], FlaskClient], path: str, most_ms: int = MOST_MS) -> Figure:
    taken: list[float] = []
    used: list[float] = []
    for _ in range(TIMES):
        http = client()
        began, used_before = time.perf_counter(), time.process_time()
        response = http.get(path, headers={"HX-Request": "true"})
        taken.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - used_before) * 1000)
        assert response.status_code == 200, response.text
    middle = percentile(taken, 50)
    measured = f"{middle:.0f} ms ({min(taken):.0f}–{max(taken):.0f}; {percentile(used, 50):.0f} ms of CPU)"
    return Figure(f"{name}: answered in", measured, f"≤ {most_ms} ms", middle <= most_ms)
