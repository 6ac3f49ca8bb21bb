"""The health page: workers, queues, the doctor, and the configuration without its secrets."""

import pytest

from service.domain.finding import warning
from service.web.pages import health
from tests.web.conftest import Edge, ServeEdge
from tests.web.pages.browser import TOKENS, Browser


@pytest.fixture
def secretive(serve: ServeEdge) -> Browser:
    edge = serve(
        tokens=TOKENS,
        registry={"url": "http://127.0.0.1:1", "username": "u", "password": "pa55word"},
        gc={"command": "sh -c 'TOKEN=h1dden registry garbage-collect x'"},
    )
    return Browser(edge, TOKENS["admin"])


def test_the_configuration_is_shown_without_its_secrets(secretive: Browser) -> None:
    page = secretive.text("/health")
    assert "registry garbage-collect" in page
    for secret in (*TOKENS.values(), "pa55word", "h1dden"):
        assert secret not in page


def test_a_password_of_redis_is_masked() -> None:
    assert health._masked({"url": "redis://u:pa55@h:1/0", "n": 1}) == {"url": "redis://u:••••••••@h:1/0", "n": 1}


def test_workers_and_queues_are_counted(edge: Edge) -> None:
    browser = Browser(edge)
    assert "No worker gave a sign of life" in browser.text("/panels/health/now")
    edge.wiring.outbox.sign_of_life("w1")
    edge.redis.lpush("pushprune:enforce", "a", "b")
    text = browser.text("/panels/health/now")
    assert "<dt>Workers</dt><dd>1</dd>" in text
    assert "<dt>Messages for enforce</dt><dd>2</dd>" in text


def test_a_comparison_is_asked_for(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    browser = Browser(edge)
    assert "asked for by hand (dashboard)" in browser.said(browser.post("/health/compare", back="/health"))
    assert edge.sent == ["a walk"]
    assert "Wanted: <bdi>asked for by hand (dashboard)</bdi>" in browser.text("/panels/health/now")


def test_the_doctor_looks_once_it_is_asked(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (warning("clocks", "they differ by <b>", "date -s now"),)
    monkeypatch.setattr(health, "examine", lambda case: iter(found))
    text = Browser(edge).post("/panels/health/doctor").text
    assert "Something will hurt" in text
    assert "they differ by &lt;b&gt;" in text
    assert "date -s now" in text
