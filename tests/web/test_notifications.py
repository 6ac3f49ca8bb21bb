"""POST /notifications: each answer keeps the registry's queue moving (safety rule 10), and nothing counts twice."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wrappers import Response

from service.domain.errors import StoreRefuses
from service.domain.events import Envelope
from service.store.history import History
from service.store.ingest import RecordResult
from service.web.notifications import RECEIVE
from service.web.problems import MAX_NOTIFICATION_BYTES, TOO_LARGE
from tests.support.edge import Edge, ServeEdge, answer, post, send
from tests.support.makers import PLAIN_ENVELOPE, V1_ENVELOPE, V2_ENVELOPE, digest_of, envelope, event
from tests.support.problem import problem

SAMPLES = Path(__file__).parents[1] / "data" / "notifications"


@pytest.mark.parametrize("content_type", [V1_ENVELOPE, V2_ENVELOPE, PLAIN_ENVELOPE, "", "multipart/form-data"])
def test_a_push_is_recorded_whatever_its_content_type(edge: Edge, content_type: str) -> None:
    response = post(edge, event(tag="v1", actor="alice"), content_type=content_type)
    assert (response.status_code, response.json) == (200, answer(1))
    assert edge.tags() == ["v1"]
    (entry,) = edge.store.history.entries("shop/api")
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
    assert (post(edge).status_code, post(edge).json, edge.planned) == (200, answer(0), [])


def test_a_doubled_event_counts_once(edge: Edge) -> None:
    assert post(edge, event()).json == answer(1)
    again = post(edge, event(), event(), event(at=1))
    assert (again.status_code, again.json) == (200, answer(1, duplicates=2))
    assert len(edge.store.history.entries("shop/api")) == 2


def test_each_newly_due_repository_is_sent_once(edge: Edge) -> None:
    post(edge, event(tag="v1"), event(tag="v2"), event(repository="shop/web"))
    assert edge.planned == ["shop/api", "shop/web"]
    post(edge, event(tag="v3"), event(repository="tools/ci"))
    assert edge.planned == ["shop/api", "shop/web", "tools/ci"]


def test_only_the_newest_of_what_was_not_understood_is_kept(serve: ServeEdge) -> None:
    edge = serve(history={"rejected": 10})
    post(edge, *range(1000))
    kept = [fields["excerpt"] for _, fields in edge.redis.xrange("pushprune:rejected")]
    assert len(kept) <= 100
    assert kept[-1] == "999"


def test_a_body_as_large_as_allowed_is_read(edge: Edge) -> None:
    assert send(edge, envelope(event()).ljust(MAX_NOTIFICATION_BYTES)).json == answer(1)


def send_chunked(edge: Edge, body: bytes) -> TestResponse:
    """Send a body as a server hands over one of unknown length."""
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    return edge.http.post("/notifications", input_stream=io.BytesIO(body), environ_overrides=chunked)


def test_a_body_of_unknown_length_is_read(edge: Edge) -> None:
    assert send_chunked(edge, envelope(event())).json == answer(1)


def test_a_larger_body_of_unknown_length_is_refused(edge: Edge) -> None:
    response = send_chunked(edge, envelope(event()).ljust(MAX_NOTIFICATION_BYTES + 1))
    assert problem(response) == (413, TOO_LARGE)
    assert edge.tags() == []


UNSET = "tokens.notify is not set, so notifications are rejected: set tokens.notify"
TOKENS = {"notify": "notify-s3cret", "read": "read-s3cret", "admin": "admin-s3cret"}


def test_the_notify_token_opens(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS)
    assert post(edge, event(), token="notify-s3cret").status_code == 200
    assert edge.tags() == ["v1"]


@pytest.mark.parametrize("tokens", [{"read": "read-s3cret"}, {"admin": "admin-s3cret"}])
def test_without_a_notify_token_posting_is_refused_if_there_are_other_tokens(
    serve: ServeEdge, tokens: dict[str, str]
) -> None:
    edge = serve(tokens=tokens)
    for token in (None, *tokens.values()):
        assert problem(post(edge, event(), token=token)) == (401, UNSET)


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


def test_events_sent_while_redis_was_away_count_once_redis_is_back(
    edge: Edge, redis_server: fakeredis.FakeServer
) -> None:
    redis_server.connected = False
    assert problem(post(edge, event()))[0] == 503
    redis_server.connected = True
    assert post(edge, event()).json == answer(1)
    assert (edge.tags(), edge.planned) == (["v1"], ["shop/api"])


def test_a_redis_that_refuses_is_away_too(edge: Edge) -> None:
    edge.redis.set("pushprune:due", "not what belongs here")
    status, detail = problem(post(edge, event()))
    assert status == 503
    assert detail.startswith("Redis refuses: ")


def test_an_event_that_redis_refused_is_recorded_when_it_is_sent_again(edge: Edge) -> None:
    edge.redis.set("pushprune:due", "not what belongs here")
    answers = receive(edge, envelope(event()), envelope(event(tag="v2")))
    assert [response.status_code for response in answers] == [503, 503]
    edge.redis.delete("pushprune:due")
    answers = receive(edge, envelope(event()), envelope(event(tag="v2")))
    assert [response.json for response in answers] == [answer(1), answer(1)]
    assert (edge.tags(), edge.planned) == (["v1", "v2"], ["shop/api"])


def test_an_event_that_can_never_be_recorded_is_kept_aside_and_its_repository_compared(edge: Edge) -> None:
    edge.redis.hset("pushprune:compared", "shop/api", "1 1")
    edge.redis.set("pushprune:history:shop/api", "not what belongs here")
    response = post(edge, event())
    assert response.status_code == 202
    assert "1 event cannot be recorded in Redis" in response.get_data(as_text=True)
    ((_, rejected),) = edge.redis.xrange("pushprune:rejected")
    assert "WRONGTYPE" in rejected["reason"]
    assert (rejected["excerpt"][:17], edge.planned) == ("push shop/api v1 ", ["shop/api"])
    assert edge.redis.hget("pushprune:compared", "shop/api") == ""
    assert post(edge, event()).json == answer(0, duplicates=1)


def test_a_push_that_the_indexes_cannot_take_leaves_a_repository_that_can_be_planned(edge: Edge) -> None:
    post(edge, event())
    edge.redis.delete("pushprune:by_push")
    edge.redis.set("pushprune:by_push", "not what belongs here")
    assert post(edge, event(tag="v2")).status_code == 202
    assert edge.redis.hkeys("pushprune:live:shop/api") == edge.tags()


def test_malformed_notifications_are_refused_even_without_redis(serve: ServeEdge, no_redis: redis.Redis) -> None:
    assert problem(send(serve(client=no_redis), b"x"))[0] == 400


def test_an_unexpected_error_shows_no_detail_to_the_client(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("inside knowledge")

    monkeypatch.setattr(History, "record_all", broken)
    response = post(edge, event())
    assert problem(response) == (500, "internal error of pushprune; see its log")
    assert "inside knowledge" not in response.text


def test_a_refused_notification_is_a_trouble_until_one_is_accepted(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS)
    send(edge, envelope(event()), headers={"Authorization": "Bearer mistaken"})
    (trouble,) = edge.store.outbox.troubles()
    assert "does not contain tokens.notify" in trouble.message
    assert "mistaken" not in trouble.message
    send(edge, envelope(event()), headers={"Authorization": "Bearer notify-s3cret"})
    assert edge.store.outbox.troubles() == ()


def test_a_restart_is_noticed_by_events_of_pushprune_alone(edge: Edge) -> None:
    restarts = edge.store.connection.keys.of("restarts")
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
    response = edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers)
    assert response.status_code == 403
    assert edge.tags() == []


REGISTRY = {"Content-Type": "application/vnd.docker.distribution.events.v1+json", "User-Agent": "Go-http-client/1.1"}


@pytest.mark.parametrize("host", ["host.docker.internal:8080", "pushprune:8080", "registry-host.example"])
def test_without_any_token_the_queue_of_a_registry_is_not_blocked_by_the_name_it_uses(edge: Edge, host: str) -> None:
    headers = REGISTRY | {"Host": host}
    assert edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers).status_code == 200
    assert edge.tags() == ["v1"]


SENT_BY_A_BROWSER = [{"Host": "a.example", "Origin": "http://a.example"}, *(h for h in FOREIGN if "Host" not in h)]


@pytest.mark.parametrize("headers", SENT_BY_A_BROWSER)
def test_without_any_token_the_content_type_of_a_registry_helps_no_web_page(
    edge: Edge, headers: dict[str, str]
) -> None:
    response = edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers | REGISTRY)
    assert response.status_code == 403
    assert edge.tags() == []


def test_a_refusal_names_the_host_and_the_setting(edge: Edge) -> None:
    answer = edge.http.post("/notifications", data=envelope(event(tag="v1")), headers={"Host": "a.example:8080"})
    detail = (answer.get_json() or {})["detail"]
    assert "'a.example:8080'" in detail
    assert detail.endswith("set tokens.notify")
    (trouble,) = edge.store.outbox.troubles()
    assert detail in trouble.message


def test_with_a_token_a_registry_may_post_under_any_name(serve: ServeEdge) -> None:
    edge = serve(tokens={"notify": "s3cret"})
    headers = {"Authorization": "Bearer s3cret", "Host": "pushprune.example"}
    assert edge.http.post("/notifications", data=envelope(event(tag="v1")), headers=headers).status_code == 200


def receive(edge: Edge, *bodies: bytes) -> list[Response]:
    """Let requests arrive together; return their answers."""
    app = edge.http.application
    environs = [EnvironBuilder("/notifications", method="POST", data=body).get_environ() for body in bodies]
    app.extensions[RECEIVE](environs)
    return [Response.from_app(app, environ) for environ in environs]


def test_requests_that_arrive_together_are_recorded_in_one_call(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    record_all = History.record_all

    def counted(history: History, envelopes: Sequence[Envelope], *more: Any) -> tuple[RecordResult, ...]:
        calls.append(len(envelopes))
        return record_all(history, envelopes, *more)

    monkeypatch.setattr(History, "record_all", counted)
    first = event(tag="v1")
    answers = receive(edge, envelope(first), b"x", envelope(event(tag="v2"), 5), envelope(first))
    assert [response.status_code for response in answers] == [200, 400, 202, 200]
    assert [response.json for response in (answers[0], answers[3])] == [answer(1), answer(0, duplicates=1)]
    assert (edge.tags(), edge.planned, calls) == (["v1", "v2"], ["shop/api"], [3])


def test_an_event_that_redis_refuses_does_not_stop_those_that_arrive_with_it(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_all = History.record_all

    def refusing(history: History, envelopes: Sequence[Envelope], *more: Any) -> tuple[RecordResult, ...]:
        if any(event.repository == "shop/web" for envelope in envelopes for event in envelope.events):
            raise StoreRefuses("Redis refuses: it is a test")
        return record_all(history, envelopes, *more)

    monkeypatch.setattr(History, "record_all", refusing)
    answers = receive(edge, envelope(event(repository="shop/web")), envelope(event()))
    assert [response.status_code for response in answers] == [503, 200]
    assert edge.tags() == ["v1"]
