"""The health page: workers, queues, the doctor, and the configuration without its secrets."""

import pytest

from service.domain.finding import warning
from service.web.pages import health
from service.web.pages.masking import masked
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
    assert "command: sh -c TOKEN=••••••••\n" in page
    for secret in (*TOKENS.values(), "pa55word", "h1dden"):
        assert secret not in page


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("redis://u:pa55@h:1/0", "redis://••••••••@h:1/0"),
        ("redis://:pa55/w@rd@h:1/0", "redis://••••••••@h:1/0"),
        ("http://pa55word@h", "http://••••••••@h"),
        ("unix:///run/redis.sock?password=pa55&db=1", "unix:///run/redis.sock?password=••••••••"),
        ("http://[", "http://["),
    ],
)
def test_what_a_url_holds_of_a_login_is_masked(written: str, said: str) -> None:
    assert masked({"url": written, "n": 1}) == {"url": said, "n": 1}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["curl", "-u", "ops:pa55", "http://h/x"], "curl -u •••••••• http://h/x"),
        (["curl", "-uops:pa55", "http://ops:pa55@h/x"], "curl -u•••••••• http://••••••••@h/x"),
        (["curl", "-H", "Authorization: Bearer pa55"], "curl -H ••••••••"),
        (["curl", "--header=Authorization: Bearer pa55"], "curl --header=••••••••"),
        (["sh", "-c", "curl -H 'X-Api-Key: pa55' --user o:pa55 h; restart"], "sh -c ••••••••"),
        (["restart", "--password", "pa55", "--token=pa55"], "restart --password •••••••• --token=••••••••"),
        (["env", "REGISTRY_AUTH=pa55", "restart"], "env REGISTRY_AUTH=•••••••• restart"),
        (["docker", "exec", "registry", "registry", "garbage-collect", "/etc/config.yml"], None),
        (["sh", "-c", "docker compose restart registry"], "sh -c 'docker compose restart registry'"),
    ],
)
def test_no_word_of_a_command_that_may_be_a_secret_is_shown(command: list[str], said: str | None) -> None:
    assert masked({"before": command}) == {"before": said or " ".join(command)}


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
