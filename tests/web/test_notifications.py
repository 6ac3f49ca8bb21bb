"""POST /notifications: each answer keeps the registry's queue moving (safety rule 10), and nothing counts twice."""

import io
import json
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from werkzeug.test import TestResponse

from service.domain.events import Envelope
from service.registry.session import agent_with
from service.store.history import History
from service.web.problems import MAX_BODY_BYTES
from tests.support.makers import PLAIN_ENVELOPE, V1_ENVELOPE, V2_ENVELOPE, blob_event, digest_of, envelope, event
from tests.web.conftest import Edge, ServeEdge
from tests.web.problem import problem

SAMPLES = Path(__file__).parents[1] / "data" / "notifications"


def post(edge: Edge, *events: Any, content_type: str = V2_ENVELOPE, token: str | None = None) -> TestResponse:
    return send(edge, envelope(*events), content_type, {"Authorization": f"Bearer {token}"} if token else {})


def send(
    edge: Edge, body: bytes, content_type: str = V2_ENVELOPE, headers: dict[str, str] | None = None
) -> TestResponse:
    return edge.http.post("/notifications", data=body, content_type=content_type, headers=headers)


def answer(recorded: int, duplicates: int = 0, rejected: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"recorded": recorded, "duplicates": duplicates, "rejected": list(rejected)}


@pytest.mark.parametrize("content_type", [V1_ENVELOPE, V2_ENVELOPE, PLAIN_ENVELOPE, "", "multipart/form-data"])
def test_a_push_is_recorded_whatever_its_content_type(edge: Edge, content_type: str) -> None:
    response = post(edge, event(tag="v1", actor="alice"), content_type=content_type)
    assert (response.status_code, response.json) == (200, answer(1))
    assert edge.tags() == ["v1"]
    (entry,) = edge.wiring.history.entries("shop/api")
    assert (entry.action, entry.tag, entry.digest, entry.actor) == ("push", "v1", digest_of("v1"), "alice")


@pytest.mark.parametrize("version", ["distribution-2.8.3", "distribution-3"])
def test_every_sample_is_accepted_as_the_registry_sent_it(
    edge: Edge, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.notifications.now_us", lambda: 1_800_000_000_000_000)
    for file in sorted((SAMPLES / version).glob("*.json")):
        for kept in json.loads(file.read_text()):
            body = json.dumps(kept["body"]).encode() if "body" in kept else envelope(kept)
            headers = {name: value for name, value in kept.get("headers", []) if name != "Content-Length"}
            response = send(edge, body, headers.pop("Content-Type", V2_ENVELOPE), headers)
            assert (response.status_code, response.json) == (200, answer(1))
    assert edge.tags("c/d") == ["x", "ix"]
    assert edge.tags("app/web") == []


def test_an_empty_envelope_is_no_news(edge: Edge) -> None:
    assert (post(edge).status_code, post(edge).json, edge.sent) == (200, answer(0), [])


def test_a_doubled_event_counts_once(edge: Edge) -> None:
    assert post(edge, event()).json == answer(1)
    again = post(edge, event(), event(), event(at=1))
    assert (again.status_code, again.json) == (200, answer(1, duplicates=2))
    assert len(edge.wiring.history.entries("shop/api")) == 2


def test_each_newly_due_repository_is_sent_once(edge: Edge) -> None:
    post(edge, event(tag="v1"), event(tag="v2"), event(repository="shop/web"))
    assert edge.sent == ["shop/api", "shop/web"]
    post(edge, event(tag="v3"), event(repository="tools/ci"))
    assert edge.sent == ["shop/api", "shop/web", "tools/ci"]


def test_what_moves_no_tag_asks_for_no_plan(edge: Edge) -> None:
    ours = event(useragent=agent_with(edge.wiring.history.word()), tag="mine")
    assert post(edge, blob_event(), blob_event("mount"), event("pull"), event(tag=None), ours).json == answer(5)
    assert (edge.sent, edge.tags()) == ([], [])


def test_what_cannot_be_understood_is_accepted_with_its_reasons_and_kept(edge: Edge) -> None:
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
    assert "too many repositories" in response.get_json()["rejected"][0]
    assert post(edge, event(repository="made/up-1", tag="v2")).status_code == 200


def test_only_the_newest_of_what_was_not_understood_is_kept(serve: ServeEdge) -> None:
    edge = serve(history={"rejected": 10})
    post(edge, *range(1000))
    kept = [fields["excerpt"] for _, fields in edge.redis.xrange("pushprune:rejected")]
    assert len(kept) <= 100
    assert kept[-1] == "999"


@pytest.mark.parametrize("body", [b"", b"x", b"\xff\xfe", b'{"events": [', b'{"events": [NaN]}', b"[" * 100_000])
def test_what_is_no_json_is_refused(edge: Edge, body: bytes) -> None:
    status, detail = problem(send(edge, body))
    assert status == 400
    assert detail.startswith("the body is not JSON: ")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"events": {}}'])
def test_what_is_no_envelope_is_refused(edge: Edge, body: bytes) -> None:
    assert problem(send(edge, body)) == (400, 'the body is no envelope; expected {"events": […]}')


def test_a_body_as_large_as_allowed_is_read(edge: Edge) -> None:
    assert send(edge, envelope(event()).ljust(MAX_BODY_BYTES)).json == answer(1)


def test_a_larger_body_is_refused(edge: Edge) -> None:
    response = send(edge, envelope(event()).ljust(MAX_BODY_BYTES + 1))
    assert problem(response) == (413, "a body of more than 4 MiB is not accepted")
    assert edge.tags() == []


def send_chunked(edge: Edge, body: bytes) -> TestResponse:
    """As a server hands over a body of unknown length."""
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    return edge.http.post("/notifications", input_stream=io.BytesIO(body), environ_overrides=chunked)


def test_a_body_of_unknown_length_is_read(edge: Edge) -> None:
    assert send_chunked(edge, envelope(event())).json == answer(1)


def test_a_larger_body_of_unknown_length_is_refused(edge: Edge) -> None:
    response = send_chunked(edge, envelope(event()).ljust(MAX_BODY_BYTES + 1))
    assert problem(response) == (413, "a body of more than 4 MiB is not accepted")
    assert edge.tags() == []


WRONG = "the notify token is missing or wrong: send the header `Authorization: Bearer <tokens.notify>`"
UNSET = "tokens.notify is not set, so nobody may post notifications: set it"
TOKENS = {"notify": "notify-s3cret", "read": "read-s3cret", "admin": "admin-s3cret"}


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
    assert (edge.tags(), edge.sent) == ([], [])
    assert not any(token in response.text for token in TOKENS.values())


def test_a_missing_token_is_refused_before_the_body_is_looked_at(serve: ServeEdge) -> None:
    assert problem(send(serve(tokens=TOKENS), b"garbage")) == (401, WRONG)


def test_the_notify_token_opens(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS)
    assert post(edge, event(), token="notify-s3cret").status_code == 200
    assert edge.tags() == ["v1"]


@pytest.mark.parametrize("tokens", [{"read": "read-s3cret"}, {"admin": "admin-s3cret"}])
def test_without_a_notify_token_nobody_may_post_where_there_are_tokens(
    serve: ServeEdge, tokens: dict[str, str]
) -> None:
    edge = serve(tokens=tokens)
    for token in (None, *tokens.values()):
        assert problem(post(edge, event(), token=token)) == (401, UNSET)


@pytest.mark.parametrize("path", ["/notifications/", "//notifications", "/notifications//", "/notifications/."])
def test_no_path_is_ever_a_redirect(serve: ServeEdge, path: str) -> None:
    """The registry takes a redirect as delivered, and sends the token along."""
    response = serve().http.post(path, data=envelope(event()))
    assert not 300 <= response.status_code < 400
    assert "Location" not in response.headers


def test_a_trailing_slash_is_the_same_place(edge: Edge) -> None:
    assert edge.http.post("/notifications/", data=envelope(event())).json == answer(1)
    assert edge.tags() == ["v1"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "BREW"])
def test_another_method_is_told_which_is_allowed(edge: Edge, method: str) -> None:
    response = edge.http.open("/notifications", method=method)
    assert problem(response)[0] == 405
    assert "POST" in response.headers["Allow"].split(", ")


def test_an_unknown_path_is_a_problem_document(edge: Edge) -> None:
    assert problem(edge.http.post("/notification", data=envelope()))[0] == 404


def test_without_redis_the_registry_is_told_to_come_again(serve: ServeEdge, no_redis: redis.Redis) -> None:
    response = post(serve(client=no_redis), event())
    status, detail = problem(response)
    assert (status, response.headers["Retry-After"]) == (503, "1")
    assert detail.startswith("Redis does not answer (")
    assert detail.endswith(")")


def test_what_was_sent_while_redis_was_away_counts_once_it_is_back(
    edge: Edge, redis_server: fakeredis.FakeServer
) -> None:
    redis_server.connected = False
    assert problem(post(edge, event()))[0] == 503
    assert edge.sent == []
    redis_server.connected = True
    assert post(edge, event()).json == answer(1)
    assert (edge.tags(), edge.sent) == (["v1"], ["shop/api"])


def test_a_redis_that_refuses_is_away_too(edge: Edge) -> None:
    edge.redis.set("pushprune:due", "not what belongs here")
    status, detail = problem(post(edge, event()))
    assert status == 503
    assert detail.startswith("Redis refuses: ")


def test_malformed_notifications_are_refused_even_without_redis(serve: ServeEdge, no_redis: redis.Redis) -> None:
    assert problem(send(serve(client=no_redis), b"x"))[0] == 400


def test_a_fault_of_ours_shows_nothing_of_our_insides(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_history: History, _envelope: Envelope) -> None:
        raise RuntimeError("inside knowledge")

    monkeypatch.setattr(History, "record", broken)
    response = post(edge, event())
    assert problem(response) == (500, "this is a fault in pushprune; its log says more")
    assert "inside knowledge" not in response.text


def test_a_refused_notification_is_told_to_the_operator_until_one_is_accepted(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS)
    send(edge, envelope(event()), headers={"Authorization": "Bearer mistaken"})
    (trouble,) = edge.wiring.outbox.troubles()
    assert "does not carry tokens.notify" in trouble.message
    assert "mistaken" not in trouble.message
    send(edge, envelope(event()), headers={"Authorization": "Bearer notify-s3cret"})
    assert edge.wiring.outbox.troubles() == ()


def test_what_we_did_ourselves_costs_redis_nothing_once_its_registry_is_known(edge: Edge) -> None:
    ours: dict[str, Any] = {"useragent": agent_with(edge.wiring.history.word()), "instance": "one"}
    for number in range(3):
        post(edge, event("pull", tag="v1", **ours), event("push", tag="v2", **ours))
        if not number:
            edge.redis.delete(edge.wiring.connection.keys.of("counters"))
    assert edge.redis.hgetall(edge.wiring.connection.keys.of("counters")) == {}
    post(edge, event("delete", tag="v1", digest=None, media_type="", **ours))
    assert edge.redis.hget(edge.wiring.connection.keys.of("counters"), "own") == "1", "a race may have taken it along"


def test_a_restart_that_only_our_own_traffic_tells_of_is_noticed(edge: Edge) -> None:
    restarts = edge.wiring.connection.keys.of("restarts")
    for instance in ("one", "one", "two"):
        post(edge, event("pull", tag="v1", useragent="pushprune/1", instance=instance))
    assert edge.redis.get(restarts) == "2"


FOREIGN = [
    {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    {"Origin": "null"},
    {"Host": "rebind.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_without_any_token_no_web_page_from_elsewhere_may_post(edge: Edge, headers: dict[str, str]) -> None:
    """A browser on this machine reaches loopback for any page it shows."""
    said = edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers)
    assert said.status_code == 403
    assert edge.tags() == []


def test_with_a_token_a_registry_may_post_under_any_name(serve: ServeEdge) -> None:
    edge = serve(tokens={"notify": "s3cret"})
    headers = {"Authorization": "Bearer s3cret", "Host": "pushprune.example"}
    assert edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers).status_code == 200
