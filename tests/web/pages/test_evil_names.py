"""Texts of clients, rules, registries and collectors stay text on every page, whatever their source is.

The registry refuses such names of repositories and tags; who has the notify token, or a fault of ours, need not.
"""

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.routing import Rule

from service.clock import now_us
from service.domain.collection.run import CollectionStage, Rehearsal, Run
from service.domain.events import Envelope, Event
from service.domain.finding import Finding
from service.domain.oci.image_parts import ImagePart
from service.domain.policy.model import Policy
from service.reports.image_parts import ImageContents, PlatformImage
from service.store.keys import short
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event, understood
from tests.web.pages.browser import TOKENS, Browser
from tests.web.pages.shape import faults

EVIL = "\"'><evil\tevil=1><script>alert(1)<b>\u202e\u200f\x07"
SAFE = "shop/api"
REPOSITORIES = (SAFE, EVIL)
TAGS = ("v2", EVIL)
Names = Sequence[tuple[str, str]]
EACH: Names = tuple(itertools.product(REPOSITORIES, TAGS))
WALKED = dict.fromkeys(("at_ms", "took_ms", "whole", "repositories", "tags", "changed", "failed"), 1) | dict.fromkeys(
    ("reason", "catalog", "message"), EVIL
)
FORMULA = ("=", "+", "-", "@", "\t")
# Where any text may be asked for, and where only few answers are understood.
TEXTS = ("repository", "tag", "who", "search", "under", "next", "digest", "run", "platforms", "q", "reason")
CHOICES = ("after", "before", "action", "order", "at", "period", "from", "to")
FORM = (
    "repository",
    "tag",
    "digest",
    "over",
    "as_tag",
    "plan",
    "policy",
    "repositories",
    "back",
    "token",
    "next",
    "item",
    "only",
)


def evil_event(**more: Any) -> Event:
    """An event as the store would get it without any check."""
    (item,) = understood(event(actor=EVIL, useragent=EVIL, **more)).events
    return replace(item, address=EVIL, media_type=EVIL, instance=EVIL)


@pytest.fixture
def edge(serve_over_valkey: ServeEdge, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """A dashboard with evil names in everything that it shows."""
    policy = Policy.model_validate(
        {
            "hold_over": 1,
            "hold_min": 0,
            "rules": [{"name": EVIL, "keep": {"last": 1}}, {"name": f"{EVIL}2", "keep": "none"}],
        }
    )
    edge = serve_over_valkey(
        policy=policy, tokens=TOKENS, gc={"command": "registry garbage-collect x"}, registry_url="http://127.0.0.1:9"
    )
    wiring, keys = edge.wiring, edge.store.connection.keys
    for at, (repository, tag) in enumerate((name, tag) for name in REPOSITORIES for tag in ("v1", *TAGS)):
        heard = replace(evil_event(tag="v1", digest=f"d{at}", at=at), repository=repository, tag=tag, id=str(at))
        wiring.store.history.record(Envelope((heard, replace(heard, id=f"again {at}", digest=digest_of(f"e{at}"))), ()))
    edge.heard(
        {"id": EVIL, "action": EVIL}, event(repository=EVIL), event(tag=EVIL), event(timestamp=EVIL),
        event("pull", actor=EVIL, useragent=EVIL, at=20),
    )  # fmt: skip
    for repository in REPOSITORIES:
        went = short(digest_of("v0"))
        for tag in TAGS:
            edge.redis.zadd(keys.of("trashed"), {f"{repository} {digest_of('v0')}": 2})
            edge.redis.hset(keys.of("deleted", repository), f"{tag} {went}", f"{went} 1 2 3 {EVIL}")
        snapshot, plan = wiring.store.history.snapshot(repository), wiring.verdicts.plan(repository)
        assert plan.hold
        wiring.store.history.commit(snapshot, replace(plan, hold=EVIL), "held")
        (hold,) = wiring.store.approvals.holds([repository])
        wiring.store.approvals.reject(repository, hold.plan, EVIL)
        wiring.store.approvals.note(repository, EVIL, EVIL, EVIL)
        wiring.store.manual.request(repository, {tag.name: tag.digest for tag in snapshot.tags}, EVIL)
    wiring.store.outbox.note_trouble(EVIL, EVIL)
    wiring.store.collections.request(EVIL)
    wiring.store.collections.request_rehearsal(EVIL)
    wiring.store.collections.publish_progress(CollectionStage(EVIL, 1, 1, EVIL))
    wiring.store.collection_runs.record(Run(1, 2, "postponed", EVIL, message=EVIL), once=True)
    wiring.store.collection_runs.record(Run(1, 2, EVIL, EVIL, 1, message=EVIL, gate=EVIL, note=EVIL))
    wiring.store.collection_runs.keep_log(1, gzip.compress(f"{EVIL}\n{EVIL}".encode()))
    wiring.store.collections.note_rehearsal(Rehearsal(1, ((EVIL, 1),)))
    wiring.store.collections.request_rehearsal(EVIL)
    wiring.store.reconcile_runs.request(EVIL)
    edge.redis.hset(
        keys.of("gate"), mapping={"state": "closed", "token": "t", "since_ms": 1, "reason": EVIL, "fence": 1}
    )
    edge.redis.zadd(keys.of("pushing"), {f"{EVIL} {EVIL} open": now_us() // 1000})
    edge.redis.zadd(keys.of("workers"), {EVIL: now_us() // 1000})
    edge.redis.hset(keys.of("reconcile:last"), mapping=WALKED)
    monkeypatch.setattr(type(wiring.platforms), "of", lambda _, __, digests: dict.fromkeys(digests, (EVIL,)))
    part = ImagePart("layer", EVIL, 1, EVIL, EVIL)
    contents = ImageContents(EVIL, (PlatformImage(EVIL, EVIL, (part,)),) * 2)
    monkeypatch.setattr("service.web.pages.tag.image_contents", lambda *_: contents)
    monkeypatch.setattr("service.web.pages.health.examine", lambda _: [Finding("redis", "error", EVIL, EVIL)])
    wiring.store.doctor_reports.keep([Finding(EVIL, "error", EVIL, EVIL)], EVIL)
    return edge


def addresses(browser: Browser, method: str, names: Names = EACH) -> Iterator[str]:
    """Every address of the dashboard, with each of these names where one belongs."""
    for rule in browser.http.application.url_map.iter_rules():
        if rule.endpoint.startswith("pages.") and method in (rule.methods or ()):
            yield from _filled(browser, rule, names)


def _filled(browser: Browser, rule: Rule, names: Names) -> Iterator[str]:
    with browser.http.application.test_request_context():
        for repository, tag in names:
            given = {"repository": repository, "tag": tag, "digest": digest_of("d0")}
            given |= {"started_ms": "1", "secret": "s"}
            built = rule.build({name: given[name] for name in rule.arguments})
            assert built
            yield built[1]


def faulty(browser: Browser, names: Names = EACH, **asked: str) -> dict[str, list[str]]:
    """Return the faults of every page and panel, by its address."""
    result: dict[str, list[str]] = {}
    for path in dict.fromkeys(addresses(browser, "GET", names)):
        for headers in ({}, {"HX-Request": "true"}):
            answer = browser.http.get(path, query_string=asked, headers=headers)
            if answer.status_code != 303 and answer.mimetype == "text/html":
                result[path] = faults(answer.text)
            assert answer.status_code < 500, (path, answer.text)
    assert len(result) > 40
    return {path: item for path, item in result.items() if item}


def test_no_page_takes_it_for_its_own(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    assert faulty(browser) == {}


@pytest.mark.parametrize(
    "page",
    [
        "overview/now", "policy/force", "approvals/list", "trash/list", "approvals/images/shop/api",
        "health/now", "collection/now", "collection/runs",
        "collection/run/1",
        "activity/entries", "activity/rejected", "activity/troubles", "repositories/list",
        "repository/tags/shop/api", "repository/trash/shop/api", "tag/why/shop/api:v2", "tag/line/shop/api:v2",
        f"tag/compare/shop/api:v2?before={digest_of('d1')}&after={digest_of('e1')}",
    ],
)  # fmt: skip
def test_an_evil_name_is_shown_as_text(edge: Edge, page: str) -> None:
    text = Browser(edge, TOKENS["admin"]).text(f"/panels/{page}")
    assert "&gt;&lt;evil" in text
    assert "evil=1&gt;&lt;script&gt;" in text
    assert '<span class="unseen">U+202E</span>' in text


@pytest.mark.parametrize(
    "asked", [TEXTS, CHOICES, *(pytest.param((name,), marks=pytest.mark.deep) for name in (*TEXTS, *CHOICES))]
)
def test_no_address_brings_it_in(edge: Edge, asked: tuple[str, ...]) -> None:
    # The names in the paths are those of test_no_page_takes_it_for_its_own: here the query is evil.
    assert faulty(Browser(edge, TOKENS["admin"]), [(SAFE, "v2")], **dict.fromkeys(asked, EVIL)) == {}


def test_no_form_brings_it_in(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    for path in dict.fromkeys(addresses(browser, "POST")):
        if path == "/logout":
            continue
        for repository in REPOSITORIES:
            answer = browser.post(path, **dict.fromkeys(FORM, EVIL) | {"repository": repository})
            assert answer.status_code < 500, path
            if answer.status_code == 303:
                answer = browser.get(answer.headers["Location"])
            assert faults(answer.text) == [], path


def test_no_cell_of_a_file_is_a_formula_and_each_file_holds_what_was_sent(edge: Edge) -> None:
    wiring = edge.wiring
    (plain,) = understood(event()).events
    for number, begins in enumerate(FORMULA):
        name = f"{begins}{EVIL}"
        evil = replace(
            plain, id=begins, repository=name, tag=name, actor=name, useragent=name, address=name, media_type=name
        )
        wiring.store.history.record(
            Envelope((replace(evil, digest=digest_of(begins), at_us=plain.at_us + number),), ())
        )
        wiring.store.approvals.note(name, name, name, name)
    browser = Browser(edge, TOKENS["read"])
    rows = list(csv.DictReader(io.StringIO(browser.get("/activity.csv").data.decode(), newline="")))
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.lstrip().startswith(FORMULA)] == []
    assert sum(cell == f"'={EVIL}" for cell in cells) >= 7
    entries = json.loads(browser.get("/activity.json").data)
    assert sum(value == f"={EVIL}" for entry in entries for value in entry.values()) >= 7
