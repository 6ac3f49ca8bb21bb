"""The health page: workers, queues, the doctor, and the configuration without its secrets."""

import re

import fakeredis
import pytest

from service.domain.finding import error, fine, skipped, warning
from service.settings.masking import masked
from service.web.pages import health
from tests.conftest import keep_last, messages_of
from tests.support.edge import Edge, ServeEdge
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
    assert "command: sh (2 arguments)\n" in page
    for secret in (*TOKENS.values(), "pa55word", "h1dden"):
        assert secret not in page


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("redis://u:pa55@h:1/0", "redis://********@h:1/0"),
        ("redis://:pa55/w@rd@h:1/0", "redis://********@h:1/0"),
        ("http://pa55word@h", "http://********@h"),
        ("unix:///run/redis.sock?password=pa55&db=1", "unix:///run/redis.sock?password=********"),
        ("http://[", "http://["),
    ],
)
def test_the_login_in_a_url_is_masked(written: str, sentence: str) -> None:
    assert masked({"url": written, "n": 1}) == {"url": sentence, "n": 1}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["curl", "-u", "ops:pa55", "http://h/x"], "curl (3 arguments)"),
        (["restart", "--password=pa55"], "restart (1 argument)"),
        (["registry-restart"], "registry-restart (0 arguments)"),
    ],
)
def test_a_command_is_shown_by_its_program_and_number_of_arguments(command: list[str], shown: str) -> None:
    assert masked({"before": command}) == {"before": shown}


def states(text: str) -> dict[str, str]:
    """Return component → kind of its state."""
    return dict(re.findall(r'<th scope="row">(\w+)</th>\s*<td data-name="State"><span class="status (\w+)">', text))


def test_workers_and_queues_are_counted(edge: Edge) -> None:
    browser = Browser(edge)
    assert states(browser.text("/panels/health/now"))["Workers"] == "fail"
    edge.store.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    edge.redis.lpush("pushprune:enforce", "a", "b")
    text = browser.text("/panels/health/queues")
    assert '<th scope="row">enforce</th><td class="number">1</td><td class="number">2</td>' in text
    assert '<th scope="row">garbage</th><td class="number">not needed</td>' in text


def test_a_queue_without_a_worker_is_red(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("garbage@a", ("garbage",))
    text = Browser(edge).text("/panels/health/now")
    assert states(text)["Workers"] == "fail"
    assert "no worker for queue enforce, so no repository is planned" in text
    assert '<td class="number fail">0</td>' in Browser(edge).text("/panels/health/queues")


def test_a_registry_that_is_away_is_red(serve: ServeEdge) -> None:
    edge = serve(policy=keep_last(1), registry={"url": "http://127.0.0.1:1"})
    edge.store.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    text = Browser(edge).text("/panels/health/now")
    assert "All systems operational." in text
    assert states(text)["Registry"] == "ok"
    edge.store.outbox.note_trouble("registry", "the registry cannot be reached")
    text = Browser(edge).text("/panels/health/now")
    assert states(text)["Registry"] == "fail"
    assert "the registry cannot be reached" in text
    assert "All systems operational." not in text


def test_the_finding_of_the_last_check_is_shown_at_its_component_with_its_age(serve: ServeEdge) -> None:
    edge = serve(policy=keep_last(1), registry={"url": "http://127.0.0.1:1"})
    edge.store.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    assert states(Browser(edge).text("/panels/health/now"))["Storage"] == "off"
    # The health of this moment knows better than the check if the registry answers.
    findings = (error("registry", "away", ""), warning("storage", "3% is free", "pushprune gc --now"))
    edge.store.doctor_reports.keep(findings, "alice")
    text = Browser(edge).text("/panels/health/now")
    assert (states(text)["Registry"], states(text)["Storage"]) == ("ok", "warn")
    assert "the last check found: 3% is free" in text
    assert "pushprune gc --now" in text


def test_a_component_that_is_not_configured_is_not_called_ok(serve: ServeEdge) -> None:
    edge = serve(policy=keep_last(1))
    edge.store.doctor_reports.keep((skipped("storage", "storage.path and storage.url are not set"),), "alice")
    browser = Browser(edge)
    text = browser.text("/panels/health/now")
    assert (states(text)["Storage"], states(text)["Gate"], states(text)["Collection"]) == ("off", "off", "off")
    assert "not configured: storage.path and storage.url are not set" in text
    assert "Skipped" in browser.text("/panels/health/found")


def test_without_redis_the_panel_says_so(serve: ServeEdge, redis_server: fakeredis.FakeServer) -> None:
    edge = serve()
    redis_server.connected = False
    panel = Browser(edge).panel("/panels/health/now")
    assert (panel.status_code, states(panel.text)) == (503, {"Redis": "fail", "Web": "ok"})


def test_each_worker_has_its_name_and_its_last_sign_of_life(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("main@b")
    edge.redis.zadd("pushprune:workers", {"garbage@a 1-a garbage": edge.store.connection.now_ms() - 30_000})
    rows = re.findall(r"<bdi>(\w+@\w)</bdi></th>(.*?)</tr>", Browser(edge).text("/panels/health/queues"))
    assert [(name, "no heartbeat" in row) for name, row in rows] == [("garbage@a", True), ("main@b", False)]


def test_a_comparison_is_asked_for(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    browser = Browser(edge)
    assert "requested manually (dashboard)" in browser.said(browser.post("/health/compare", back="/health"))
    assert messages_of(edge.wiring).walks == 1
    assert "Queued: <bdi>requested manually (dashboard)</bdi>" in browser.text("/panels/health/reconcile")


def test_the_doctor_looks_once_it_is_asked(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    result = (warning("clocks", "they differ by <b>", "date -s now"),)
    monkeypatch.setattr(health, "examine", lambda case: iter(result))
    text = Browser(edge).post("/panels/health/doctor").text
    assert "Warnings found" in text
    assert "they differ by &lt;b&gt;" in text
    assert "date -s now" in text


def test_a_user_with_read_rights_sees_the_findings_of_the_doctor_without_logins(
    serve: ServeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = serve(tokens=TOKENS, registry={"url": "http://127.0.0.1:1"})
    result = (error("redis", "redis://u:pa55@h:1/0 is away", "curl http://u:pa55@h?token=pa55"), fine("web", "answers"))
    monkeypatch.setattr(health, "examine", lambda case: iter(result))
    reader, admin = Browser(edge, TOKENS["read"]), Browser(edge, TOKENS["admin"])
    assert "The check was not run in the last 7 days. It pushes" in reader.text("/panels/health/found")
    assert admin.post("/panels/health/doctor").status_code == 200
    text = reader.text("/panels/health/found")
    assert "Errors found" in text
    assert "redis://********@h:1/0 is away" in text
    assert "run by <bdi>dashboard (admin)</bdi>" in text
    assert "pa55" not in text + str(edge.redis.get("pushprune:doctor:last"))
    assert reader.post("/panels/health/doctor").status_code == 403


def test_without_redis_the_doctor_says_so(
    serve: ServeEdge, redis_server: fakeredis.FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "examine", lambda case: iter([error("redis", "it is away", "start it")]))
    browser = Browser(serve())
    redis_server.connected = False
    assert "it is away" in browser.post("/panels/health/doctor").text
