"""Changes over the API are bounded by the minute, for all processes together; looking is not."""

from werkzeug.test import TestResponse

from tests.support.api_requests import TOKENS
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem


def change(edge: Edge, token: str = "admin-s3cret") -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return edge.http.post("/api/v1/reconciliation", json={}, headers=headers)


def look(edge: Edge) -> TestResponse:
    return edge.http.get("/api/v1/reconciliation", headers={"Authorization": "Bearer admin-s3cret"})


def test_a_change_beyond_the_limit_is_refused_with_the_time_to_try_again(serve: ServeEdge) -> None:
    first, other = (serve(tokens=TOKENS, api={"changes_per_minute": 3}) for _ in range(2))
    assert [change(edge).status_code for edge in (first, other, first)] == [409, 409, 409], "no registry is configured"
    response = change(other)
    wait_s = int(response.headers["Retry-After"])
    assert 1 <= wait_s <= 60
    sentence = f"more than 3 changes in a minute (api.changes_per_minute): try again in {wait_s} s"
    assert problem(response) == (429, sentence)
    assert look(first).status_code == 200


def test_after_that_minute_there_is_room_again(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, api={"changes_per_minute": 1})
    assert (change(edge).status_code, change(edge).status_code) == (409, 429)
    key = edge.store.connection.keys.of("change_limit")
    assert 0 < edge.redis.pttl(key) <= 60_000
    edge.redis.pexpire(key, 0)
    assert change(edge).status_code == 409


def test_a_request_without_the_right_does_not_count_towards_the_limit(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS, api={"changes_per_minute": 1})
    assert [change(edge, token).status_code for token in ("read-s3cret", "notify-s3cret", "wrong")] == [403, 403, 401]
    assert not edge.redis.exists(edge.store.connection.keys.of("change_limit"))
    assert change(edge).status_code == 409
