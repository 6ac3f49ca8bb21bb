"""The dashboard behind a proxy: headers of the trusted proxy are believed, those of other clients are not."""

from typing import Any

import pytest

from service.domain.errors import ConfigurationError
from service.settings import load_settings
from tests.support.edge import ServeEdge
from tests.web.pages.browser import TOKENS, Browser

PROXY = {"REMOTE_ADDR": "10.0.0.7"}
WEB = {"proxies": ["10.0.0.0/24"], "user_header": "X-Remote-User", "admins": ["alice"]}


def test_the_proxy_names_the_user_who_signed_in_there(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web=WEB)
    for name, may in (("alice", ""), ("bob", "(read-only)")):
        page = edge.http.get("/", headers={"X-Remote-User": name}, environ_overrides=PROXY)
        assert page.status_code == 200
        assert name in page.text
        assert may in page.text
        assert ("(read-only)" in page.text) == bool(may)


def test_only_a_trusted_proxy_can_name_the_user(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web=WEB)
    for address in ("10.0.1.7", "127.0.0.1", ""):
        answer = edge.http.get(
            "/", headers={"X-Remote-User": "alice"}, environ_overrides={"REMOTE_ADDR": address}
        )  # fmt: skip
        assert answer.status_code == 303


def test_a_name_that_begins_as_that_of_an_admin_is_another(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web={**WEB, "admins": ["a" * 64]})
    page = edge.http.get("/", headers={"X-Remote-User": "a" * 64 + "b"}, environ_overrides=PROXY)
    assert "(read-only)" in page.text


def test_a_request_without_a_user_of_the_proxy_needs_a_token(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web=WEB)
    assert edge.http.get("/", environ_overrides=PROXY).status_code == 303


def test_every_link_has_the_path_at_the_proxy_whether_the_proxy_strips_it_or_not(serve: ServeEdge) -> None:
    edge = serve(web={"prefix": "/pushprune"})
    for path in ("/", "/pushprune/", "/pushprune"):
        page = edge.http.get(path)
        assert page.status_code == 200
        assert 'href="/pushprune/static/' in page.text
        assert 'href="/static/' not in page.text
    assert edge.http.get("/pushprunes").status_code == 404


def test_the_login_leads_a_panel_back_to_its_page_under_the_prefix(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web={"prefix": "/pushprune"})
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/pushprune/trash"}
    response = edge.http.get("/panels/overview/now", headers=headers)
    assert response.headers["HX-Redirect"] == "/pushprune/login?next=/trash"


def test_forwarded_headers_are_believed_from_the_proxy_alone(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, web=WEB)
    answer = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/p", "X-Forwarded-Host": "prune.example"}
    believed = edge.http.get("/login", headers=answer, environ_overrides=PROXY)
    assert "Secure" in believed.headers["Set-Cookie"]
    assert 'href="/p/static/' in believed.text
    other = edge.http.get("/login", headers=answer)
    assert "Secure" not in other.headers["Set-Cookie"]
    assert 'href="/static/' in other.text


@pytest.mark.parametrize("path", ["/gate", "/gate/", "/pp/gate"])
def test_the_gate_is_not_to_be_had_over_the_proxy(serve: ServeEdge, path: str) -> None:
    """A process of its own answers it, which no proxy of people leads to."""
    edge = serve(tokens=TOKENS, web={**WEB, "prefix": "/pp"})
    asked = {"X-Original-Method": "PUT", "X-Original-URI": "/v2/a/manifests/b", "X-Forwarded-For": "8.8.8.8"}
    assert edge.http.get(path, headers=asked, environ_overrides=PROXY).status_code == 404
    assert edge.http.get(path, headers=asked).status_code == 404


def test_a_change_over_the_proxy_is_of_its_host(serve: ServeEdge) -> None:
    browser = Browser(serve(tokens=TOKENS, web=WEB))
    headers = {"X-Forwarded-Host": "prune.example", "X-Forwarded-Proto": "https", "X-Remote-User": "alice"}
    form = {"csrf": ""}
    refused = browser.http.post(
        "/logout", data=form, headers={**headers, "Origin": "https://prune.example"}, environ_overrides=PROXY
    )
    assert "expired" in refused.text
    foreign = browser.http.post(
        "/logout", data=form, headers={**headers, "Origin": "https://evil.example"}, environ_overrides=PROXY
    )
    assert "was sent by https://evil.example" in foreign.text.replace("<bdi>", "")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"web": {"user_header": "X-User"}, "tokens": TOKENS}, "web.user_header needs web.proxies"),
        ({"web": {"admins": ["alice"]}, "tokens": TOKENS}, "web.admins needs web.user_header"),
        ({"web": {"user_header": "X-User", "proxies": ["10.0.0.7"]}}, "needs tokens.read or tokens.admin"),
        ({"web": {"proxies": ["127.0.0.1"]}}, "proxies needs tokens"),
        ({"web": {"proxies": ["10.0.0.7/8"]}}, "write addresses or networks"),
        ({"web": {"prefix": "pushprune/"}}, "not a path such as /pushprune"),
        ({"web": {"user_header": "X User"}, "tokens": TOKENS}, "not the name of a header"),
    ],
)
def test_half_a_proxy_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load_settings(environ={}, **settings)


def test_networks_and_names_may_be_written_as_one_line() -> None:
    environ = {
        "PUSHPRUNE_WEB__PROXIES": "10.0.0.7, 10.1.0.0/16", "PUSHPRUNE_WEB__ADMINS": '["alice"]',
        "PUSHPRUNE_WEB__USER_HEADER": "X-User", "PUSHPRUNE_TOKENS__ADMIN": "adm1n-0123456789",
    }  # fmt: skip
    web = load_settings(environ=environ).web
    assert (web.proxies, web.admins) == (["10.0.0.7", "10.1.0.0/16"], ["alice"])
