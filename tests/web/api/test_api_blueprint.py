"""Access to the API and /metrics: each route with each token, and without any token."""

import re

import pytest
import redis
from werkzeug.test import TestResponse

from service.web import access
from service.web.app import create_app
from tests.support.api_requests import CHANGES, QUERIES, TOKENS, ask
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem

pytestmark = pytest.mark.slow

EVERY = (*QUERIES, *CHANGES)


def is_open(response: TestResponse) -> bool:
    return response.status_code not in (401, 403)


def test_every_route_of_the_api_is_tried_here(edge: Edge) -> None:
    rules = [rule for rule in create_app(edge.wiring).url_map.iter_rules() if rule.rule.startswith("/api/v1")]
    every = {
        (method, rule.rule.replace("<path:repository>", "shop/api").replace("<tag>", "v1"))
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert every == {route for route in (*QUERIES, *CHANGES) if route[1].startswith("/api/v1")}


def test_read_and_admin_may_look(serve: ServeEdge) -> None:
    http = serve(tokens=TOKENS).http
    for route in QUERIES:
        assert is_open(ask(http, route, "read-s3cret")), route
        assert is_open(ask(http, route, "admin-s3cret")), route


def test_notify_may_never_look(serve: ServeEdge) -> None:
    http, refused = (
        serve(tokens=TOKENS).http,
        "the notify token may only post notifications: send tokens.read or tokens.admin",
    )
    for route in QUERIES:
        assert (route, *problem(ask(http, route, "notify-s3cret"))) == (route, 403, refused)


def test_only_admin_may_change(serve: ServeEdge) -> None:
    http, refused = serve(tokens=TOKENS).http, "this token is read-only: send tokens.admin"
    for route in CHANGES:
        assert is_open(ask(http, route, "admin-s3cret")), route
        for token in ("read-s3cret", "notify-s3cret"):
            assert (route, *problem(ask(http, route, token))) == (route, 403, refused)


@pytest.mark.parametrize("token", [None, "", "wrong", "read-s3cre", "READ-S3CRET", "admin-s3cretx", "é"])
def test_a_missing_or_wrong_token_is_refused(serve: ServeEdge, token: str | None) -> None:
    http = serve(tokens=TOKENS).http
    for route in EVERY:
        access.register(http.application)  # no address has guessed yet
        response = ask(http, route, token)
        status, detail = problem(response)
        assert (route, status, response.headers["WWW-Authenticate"]) == (route, 401, 'Bearer realm="pushprune"')
        assert detail.startswith("the token is missing or wrong: send the header `Authorization: Bearer <tokens.")
        assert "s3cret" not in response.text


def test_a_stranger_is_refused_before_the_request_is_looked_at(serve: ServeEdge) -> None:
    http = serve(tokens=TOKENS).http
    assert http.post("/api/v1/preview", data=b"garbage").status_code == 401
    assert http.get("/api/v1/preview?nonsense=1").status_code == 401


def test_with_a_notify_token_alone_reading_is_refused_with_the_setting_to_set(serve: ServeEdge) -> None:
    http = serve(tokens={"notify": "notify-s3cret"}).http
    unset = "neither tokens.read nor tokens.admin is set, so access is disabled: set tokens.read"
    for route in QUERIES:
        assert (route, *problem(ask(http, route))) == (route, 401, unset)
        assert (route, *problem(ask(http, route, "notify-s3cret"))) == (route, 403, unset)


@pytest.mark.parametrize("tokens", [{"read": "read-s3cret"}, {"notify": "notify-s3cret"}])
def test_without_an_admin_token_changes_are_refused_if_there_are_other_tokens(
    serve: ServeEdge, tokens: dict[str, str]
) -> None:
    http = serve(tokens=tokens).http
    unset = "tokens.admin is not set, so changes are disabled: set tokens.admin"
    for route in CHANGES:
        assert (route, *problem(ask(http, route))) == (route, 401, unset)
        for token in tokens.values():
            assert (route, *problem(ask(http, route, token))) == (route, 403, unset)


def test_an_admin_token_alone_may_look(serve: ServeEdge) -> None:
    http = serve(tokens={"admin": "admin-s3cret"}).http
    assert is_open(ask(http, QUERIES[0], "admin-s3cret"))
    assert not is_open(ask(http, QUERIES[0]))


def test_a_token_under_two_names_has_the_rights_of_both(serve: ServeEdge) -> None:
    http = serve(tokens={"notify": "s3cret", "admin": "s3cret"}).http
    assert is_open(ask(http, CHANGES[0], "s3cret"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "host.docker.internal:8080",
     "host.containers.internal:8080"],
)  # fmt: skip
def test_without_any_token_programs_on_this_machine_may_do_everything(edge: Edge, host: str) -> None:
    for route in EVERY:
        assert is_open(ask(edge.http, route, Host=host)), route
        assert is_open(ask(edge.http, route, "whatever", Host=host, Origin=f"http://{host}")), route


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:9999"},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Host": "evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"}, {"Host": "10.0.0.7"}],
)  # fmt: skip
def test_without_any_token_a_page_from_elsewhere_may_do_nothing(edge: Edge, headers: dict[str, str]) -> None:
    """A browser on this machine reaches loopback for any page it shows (CSRF, DNS rebinding)."""
    for route in EVERY:
        status, detail = problem(ask(edge.http, route, **headers))
        assert (route, status) == (route, 403)
        assert detail.startswith(
            "no token is set, so only programs on this machine have access, and this request comes from or names "
        )
        assert detail.endswith(": send it to localhost, or set tokens.read and tokens.admin")


def test_with_tokens_it_may_be_asked_by_any_name(serve: ServeEdge) -> None:
    http = serve(tokens=TOKENS).http
    assert is_open(ask(http, QUERIES[0], "read-s3cret", Host="pushprune.example", Origin="https://elsewhere.example"))


def test_without_redis_the_answer_is_to_come_again(serve: ServeEdge, no_redis: redis.Redis) -> None:
    configured = {"gc": {"command": "true"}, "registry": {"url": "http://127.0.0.1:9"}}
    http = serve(client=no_redis, **configured).http
    for route in EVERY:
        response = ask(http, route)
        if "policy" in route[1]:
            assert response.status_code == 200, "the policy does not come from Redis"
            continue
        status, detail = problem(response)
        assert (route, status, response.headers["Retry-After"]) == (route, 503, "1")
        assert re.match(r"Redis does not answer \(", detail)


def test_another_method_is_told_which_is_allowed(edge: Edge) -> None:
    for method, path in EVERY:
        response = edge.http.put(path)
        assert (path, problem(response)[0]) == (path, 405)
        assert method in response.headers["Allow"].split(", ")


@pytest.mark.parametrize("route", [*QUERIES, *CHANGES])
def test_no_path_is_a_redirect_and_no_answer_is_taken_for_a_page(edge: Edge, route: tuple[str, str]) -> None:
    method, path = route
    for asked in (path, f"{path}/", f"/{path}", path.replace("/api/v1", "/api//v1")):
        response = ask(edge.http, (method, asked))
        assert "Location" not in response.headers
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.mimetype != "text/html"


def test_guesses_at_the_tokens_are_heard_once_a_second_and_a_right_token_is_locked_out_no_longer(
    serve: ServeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, clock = serve(tokens=TOKENS).http, [1000.0]
    monkeypatch.setattr(http.application.extensions["pushprune guesses"], "_clock", lambda: clock[0])
    guesses = [ask(http, QUERIES[0], f"guess {number}").status_code for number in range(12)]
    assert guesses == [401] * 10 + [429] * 2
    refused = ask(http, QUERIES[0], "read-s3cret")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert "status" in (http.get("/readyz", headers={"Authorization": "Bearer read-s3cret"}).json or {})
    assert ask(http, QUERIES[0]).status_code == 401, "no token is no guess"
    clock[0] += 1
    assert is_open(ask(http, QUERIES[0], "read-s3cret"))
    clock[0] += 60
    assert all(is_open(ask(http, QUERIES[0], "read-s3cret")) for _ in range(20))


def test_guesses_by_way_of_readyz_are_slowed_down_as_well(serve: ServeEdge) -> None:
    http = serve(tokens=TOKENS).http
    for _ in range(10):
        http.get("/readyz", headers={"Authorization": "Bearer guess"})
    shown = http.get("/readyz", headers={"Authorization": "Bearer read-s3cret"})
    assert (shown.json or {}).keys() == {"status"}
