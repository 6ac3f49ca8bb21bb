"""Logins, their rights, and the origin of a change."""

import hashlib
from typing import Any

import fakeredis
import pytest

from tests.support.edge import Edge, ServeEdge
from tests.web.pages.browser import TOKENS, Browser


@pytest.fixture
def edge(serve: ServeEdge) -> Edge:
    return serve(tokens=TOKENS)


def test_without_a_token_the_dashboard_is_there_at_once(serve: ServeEdge) -> None:
    response = Browser(serve()).get("/")
    assert response.status_code == 200
    assert "Sign out" not in response.text


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_without_a_token_no_page_from_elsewhere_comes_in(serve: ServeEdge, headers: dict[str, str]) -> None:
    assert Browser(serve()).get("/", headers=headers).status_code == 403


def test_a_stranger_is_led_to_the_login_and_from_there_where_he_wanted_to(edge: Edge) -> None:
    browser = Browser(edge)
    asked = browser.get("/?period=7d")
    assert asked.status_code == 303
    assert asked.headers["Location"] == "/login?next=/?period%3D7d"
    assert browser.sign_in(TOKENS["read"], next="/?period=7d").headers["Location"] == "/?period=7d"
    assert browser.get("/?period=7d").status_code == 200


@pytest.mark.parametrize(
    "there", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x", "//[", "/\t/evil.example"]
)
def test_the_login_leads_nowhere_else(edge: Edge, there: str) -> None:
    assert Browser(edge).sign_in(TOKENS["read"], next=there).headers["Location"] == "/"


def test_over_a_link_from_elsewhere_the_page_asks_once_more_for_itself(edge: Edge) -> None:
    browser = Browser(edge)
    page = browser.get("/policy", headers={"Sec-Fetch-Site": "cross-site"})
    assert (page.status_code, '<meta http-equiv="refresh" content="0">' in page.text) == (200, True)
    assert "Set-Cookie" not in page.headers
    assert browser.get("/policy", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize(
    ("page", "login"),
    [
        ("", "/login"),
        ("http://localhost/trash?order=size", "/login?next=/trash?order%3Dsize"),
        ("http://[", "/login"),
    ],
)
def test_a_panel_without_a_session_leads_its_page_to_the_login_and_back(edge: Edge, page: str, login: str) -> None:
    response = edge.http.get("/panels/overview/now", headers={"HX-Request": "true", "HX-Current-URL": page})
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, login)


def test_a_form_without_a_session_leads_to_the_login_and_back_to_its_page(edge: Edge) -> None:
    response = edge.http.post("/restore", data={"back": "/trash"}, headers={"Origin": "http://localhost"})
    assert (response.status_code, response.headers["Location"]) == (303, "/login?next=/trash")


@pytest.mark.parametrize("token", ["", "wrong", TOKENS["notify"], "ädmin"])
def test_no_other_token_opens(edge: Edge, token: str) -> None:
    browser = Browser(edge)
    assert browser.sign_in(token).status_code == 403
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    ("tokens", "right"),
    [({"notify": "n0tify"}, "read"), ({"notify": "n0tify"}, "admin"), ({"read": "r3ad"}, "admin")],
)
def test_no_request_has_a_right_for_which_there_is_no_token(
    serve: ServeEdge, tokens: dict[str, str], right: str
) -> None:
    """Cookies are signed with the tokens. A client that knows all of them, or has none to know, can sign one."""
    browser = Browser(serve(tokens=tokens))
    with browser.http.session_transaction() as session:
        session["right"] = right
    assert browser.get("/").status_code == 303


def test_a_guess_at_the_tokens_behind_a_cookie_costs_time_and_memory(
    serve: ServeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers get a signed cookie with the login: they must not try a million tokens a second on it at home."""
    scrypt, asked = hashlib.scrypt, []

    def noted(messages: bytes, **cost: Any) -> bytes:
        asked.append((cost["n"] * cost["r"] * 128, messages))
        return scrypt(messages, **cost)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    serve(tokens={"read": "never-before-r", "admin": "never-before-a"})
    ((memory_bytes, messages),) = asked
    assert memory_bytes >= 16 * 1024 * 1024
    assert b"never-before-r" in messages
    assert b"never-before-a" in messages


def test_the_name_of_the_user_is_shown_and_the_user_can_sign_out(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    assert "dashboard (admin)" in browser.text("/")
    assert "(read-only)" in Browser(edge, TOKENS["read"]).text("/")
    assert browser.post("/logout").status_code == 303
    assert browser.get("/").status_code == 303


def with_cookie_of(browser: Browser, edge: Edge) -> Browser:
    """Another browser, that has a copy of the cookie."""
    name = str(browser.http.application.config["SESSION_COOKIE_NAME"])
    cookie = browser.http.get_cookie(name)
    assert cookie
    copy = Browser(edge)
    copy.http.set_cookie(name, cookie.value)
    return copy


def test_a_copy_of_the_cookie_is_refused_after_signing_out_by_every_web_process(serve: ServeEdge) -> None:
    first, other = serve(tokens=TOKENS), serve(tokens=TOKENS)
    browser, elsewhere = Browser(first, TOKENS["admin"]), Browser(first, TOKENS["admin"])
    copies = [with_cookie_of(browser, edge) for edge in (first, other)]
    assert [copy.get("/health").status_code for copy in copies] == [200, 200]
    assert browser.post("/logout").status_code == 303
    assert [copy.get("/health").status_code for copy in copies] == [303, 303]
    for copy in copies:
        assert copy.post("/health/compare").headers["Location"].startswith("/login")
    assert elsewhere.get("/health").status_code == 200, "another session of the same token goes on"
    keys = first.wiring.store.connection.keys
    (key,) = first.redis.keys(keys.of("signout", "*"))
    assert 0 < first.redis.ttl(key) <= first.wiring.settings.web.session


def test_a_session_is_refused_while_it_is_not_known_if_it_was_signed_out(
    edge: Edge, redis_server: fakeredis.FakeServer
) -> None:
    browser = Browser(edge, TOKENS["admin"])
    redis_server.connected = False
    page = browser.get("/health")
    assert (page.status_code, "Redis does not answer" in page.text) == (503, True)
    assert '<meta http-equiv="refresh" content="10">' in page.text
    assert "Sign out" not in page.text
    redis_server.connected = True
    assert browser.get("/health").status_code == 200


def test_the_cookie_is_for_this_site_and_no_script(edge: Edge) -> None:
    response = Browser(edge).sign_in(TOKENS["admin"])
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert TOKENS["admin"] not in cookie


def test_over_https_the_cookie_is_sent_over_https_only(edge: Edge) -> None:
    browser = Browser(edge, origin="https://localhost")
    page = browser.get("/login", base_url="https://localhost")
    assert "Secure" in page.headers["Set-Cookie"]


def test_every_web_process_knows_the_session_and_none_once_a_token_has_changed(serve: ServeEdge) -> None:
    cookie = Browser(serve(tokens=TOKENS)).sign_in(TOKENS["admin"]).headers["Set-Cookie"]
    value = cookie.partition(";")[0].partition("=")[2]
    for tokens, status in ((TOKENS, 200), ({**TOKENS, "admin": "another"}, 303)):
        http = serve(tokens=tokens).http
        http.set_cookie(str(http.application.config["SESSION_COOKIE_NAME"]), value)
        assert http.get("/").status_code == status


def test_after_ten_wrong_tokens_every_token_from_there_is_refused(edge: Edge) -> None:
    browser = Browser(edge)
    for _ in range(10):
        assert browser.sign_in("wrong").status_code == 403
    refused = browser.sign_in(TOKENS["admin"])
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61


class TestAChange:
    @pytest.mark.parametrize("headers", [{}, {"Origin": "null"}, {"Origin": "http://evil.example"}])
    def test_a_sign_out_sent_by_another_site_is_refused(self, edge: Edge, headers: dict[str, str]) -> None:
        browser = Browser(edge, TOKENS["admin"])
        form: dict[str, Any] = {"csrf": browser.csrf()}
        assert browser.http.post("/logout", data=form, headers=headers).status_code == 403

    def test_a_sign_out_without_the_hidden_field_of_the_form_is_refused(self, edge: Edge) -> None:
        browser = Browser(edge, TOKENS["admin"])
        origin = {"Origin": "http://localhost"}
        for form in ({}, {"csrf": ""}, {"csrf": "ä"}, {"csrf": Browser(edge, TOKENS["admin"]).csrf()}):
            refused = browser.http.post("/logout", data=form, headers=origin)
            assert (refused.status_code, "expired" in refused.text) == (403, True)

    def test_the_login_changes_the_secret_of_the_forms(self, edge: Edge) -> None:
        browser = Browser(edge)
        before = browser.csrf()
        browser.sign_in(TOKENS["read"])
        assert browser.csrf() != before


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_on_another_site_signs_no_user_out(edge: Edge, headers: dict[str, str]) -> None:
    """The browser keeps the session back there: a new one under its name would take its place."""
    response = edge.http.post("/logout", headers=headers)
    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers
