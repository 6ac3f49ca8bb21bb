"""Safety rule 10: no event blocks the registry's queue; only what no registry sends is refused."""

import pytest
import redis

from service.web.problems import MAX_NOTIFICATION_BYTES, TOO_LARGE
from tests.support.edge import Edge, ServeEdge, post, send
from tests.support.makers import envelope, event
from tests.support.problem import problem

TOKENS = {"notify": "notify-s3cret", "read": "read-s3cret", "admin": "admin-s3cret"}


def test_events_that_cannot_be_understood_are_accepted_and_kept_with_the_reason(edge: Edge) -> None:
    response = post(edge, event(tag="v1"), 5, event(tag="v2"), event("rename"), event(repository="../etc"))
    reasons = (
        "action: Input should be 'push', 'pull', 'mount' or 'delete'",
        "target.repository: no repository can have that name",
    )
    assert response.status_code == 202
    assert response.json is not None
    assert (response.json["recorded"], tuple(response.json["rejected"][1:])) == (2, reasons)
    assert edge.tags() == ["v1", "v2"]
    stored = [fields for _, fields in edge.redis.xrange("pushprune:rejected")]
    assert [fields["reason"] for fields in stored] == response.json["rejected"]
    assert stored[0]["excerpt"] == "5"
    assert '"action":"rename"' in stored[1]["excerpt"]


def test_events_about_too_many_unknown_repositories_are_accepted_and_not_recorded(serve: ServeEdge) -> None:
    edge = serve(history={"unseen_repositories": 2})
    for number in range(2):
        assert post(edge, event(repository=f"made/up-{number}")).status_code == 200
    response = post(edge, event(repository="made/up-2"))
    assert response.status_code == 202
    assert "too many unknown repositories" in response.get_json()["rejected"][0]
    assert post(edge, event(repository="made/up-1", tag="v2")).status_code == 200


@pytest.mark.parametrize("body", [b"", b"x", b"\xff\xfe", b'{"events": [', b'{"events": [NaN]}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(edge: Edge, body: bytes) -> None:
    status, detail = problem(send(edge, body))
    assert status == 400
    assert detail.startswith("the body is not JSON: ")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"events": {}}'])
def test_a_body_that_is_no_envelope_is_refused(edge: Edge, body: bytes) -> None:
    assert problem(send(edge, body)) == (400, 'the body is no envelope; expected {"events": […]}')


def test_a_body_larger_than_any_registry_sends_is_refused(edge: Edge) -> None:
    response = send(edge, envelope(event()).ljust(MAX_NOTIFICATION_BYTES + 1))
    assert problem(response) == (413, TOO_LARGE)
    assert edge.tags() == []


WRONG = "the notify token is missing or wrong: send the header `Authorization: Bearer <tokens.notify>`"


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer read-s3cret", "Bearer admin-s3cret", "Bearer ", "Bearer notify-s3cre",
     "Bearer notify-s3cretx", "Bearer NOTIFY-S3CRET", "Basic bm90aWZ5LXMzY3JldA==", "é", ""],
)  # fmt: skip
def test_only_the_notify_token_may_post(serve: ServeEdge, header: str) -> None:
    edge = serve(tokens=TOKENS)
    response = send(edge, envelope(event()), headers={"Authorization": header})
    assert problem(response) == (401, WRONG)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pushprune"'
    assert (edge.tags(), edge.planned) == ([], [])
    assert not any(token in response.text for token in TOKENS.values())


def test_a_missing_token_is_refused_before_the_body_is_looked_at(serve: ServeEdge) -> None:
    assert problem(send(serve(tokens=TOKENS), b"garbage")) == (401, WRONG)


@pytest.mark.parametrize("path", ["/notifications/", "//notifications", "/notifications//", "/notifications/."])
def test_no_path_is_ever_a_redirect(serve: ServeEdge, path: str) -> None:
    """The registry takes a redirect as delivered, and sends the token along."""
    response = serve().http.post(path, data=envelope(event()))
    assert not 300 <= response.status_code < 400
    assert "Location" not in response.headers


def test_the_registry_is_asked_to_send_again_while_redis_is_away(serve: ServeEdge, no_redis: redis.Redis) -> None:
    response = post(serve(client=no_redis), event())
    status, detail = problem(response)
    assert (status, response.headers["Retry-After"]) == (503, "1")
    assert detail.startswith("Redis does not answer (")
    assert detail.endswith(")")
