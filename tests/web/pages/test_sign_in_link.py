"""The one-time link: it signs one browser in, once, and no program that only looks at it."""

from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.local.sign_in import LIFE_S, sign_in_link
from tests.support.edge import Edge, ServeEdge
from tests.web.pages.browser import TOKENS, Browser


@pytest.fixture
def edge(serve: ServeEdge) -> Edge:
    return serve(tokens=TOKENS)


def link_of(edge: Edge) -> str:
    """The path of a fresh link."""
    link = sign_in_link(edge.wiring.store, edge.wiring.settings, "http://localhost")
    return link.removeprefix("http://localhost")


def test_the_link_signs_in_with_the_right_to_make_changes_and_only_once(edge: Edge) -> None:
    link = link_of(edge)
    browser, other = Browser(edge), Browser(edge)
    assert "Sign in" in browser.text(link)
    assert browser.post(link).headers["Location"] == "/"
    assert "dashboard (admin)" in browser.text("/")
    assert browser.post("/health/compare").headers["Location"] == "/", "the session may change things"
    late = other.post(link)
    assert (late.status_code, "used already, or it has expired" in late.text) == (410, True)
    assert other.get(link).status_code == 410
    assert other.get("/").status_code == 303


def test_a_program_that_previews_the_link_does_not_use_it_up(edge: Edge) -> None:
    link = link_of(edge)
    for method in ("GET", "HEAD", "OPTIONS", "GET"):
        assert edge.http.open(link, method=method).status_code == 200
    assert "Set-Cookie" not in edge.http.post(link, headers={"Origin": "https://evil.example"}).headers
    assert edge.http.post(link).status_code == 403, "a form of ours brings the session's secret along"
    assert Browser(edge).post(link).status_code == 303


def test_a_link_holds_no_token_and_redis_holds_only_its_hash_for_a_quarter_of_an_hour(edge: Edge) -> None:
    link = link_of(edge)
    keys, secret = edge.wiring.store.connection.keys, link.rpartition("/")[2]
    (key,) = edge.redis.keys(keys.of("sign_in", "*"))
    assert secret not in str(key)
    assert not any(token in link for token in TOKENS.values())
    assert 0 < edge.redis.ttl(key) <= LIFE_S
    edge.redis.delete(key)
    assert Browser(edge).post(link).status_code == 410


def test_no_link_gives_a_right_of_which_there_is_no_token(serve: ServeEdge) -> None:
    link = link_of(serve(tokens=TOKENS))
    without = serve(tokens={"read": TOKENS["read"]})
    assert Browser(without).get(link).status_code == 410
    assert Browser(without).post(link).status_code == 410
    with pytest.raises(ConfigurationError, match=r"set tokens\.admin"):
        link_of(without)


def test_without_tokens_the_link_is_the_dashboard_itself(serve: ServeEdge) -> None:
    assert link_of(serve()) == "/"


def test_the_login_says_where_the_token_is_and_shows_the_folder_to_users_of_this_machine_only(
    serve: ServeEdge, tmp_path: Path
) -> None:
    edge, folder = serve(tokens=TOKENS, data_dir=tmp_path / "data"), tmp_path / "data" / "tokens"
    assert "pushprune sign-in" in Browser(edge).text("/login")
    assert str(folder) not in Browser(edge).text("/login")
    folder.mkdir(parents=True)
    assert str(folder) in Browser(edge).text("/login")
    elsewhere = edge.http.get("/login", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert (str(folder) in elsewhere.text, "pushprune-data" in elsewhere.text) == (False, True)
    for header in ({"X-Forwarded-For": "192.0.2.7"}, {"Host": "pushprune.example.com"}):
        assert str(folder) not in edge.http.get("/login", headers=header).text
