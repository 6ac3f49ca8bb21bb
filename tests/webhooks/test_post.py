"""One message to one receiver: only its status counts, and it cannot do anything to us."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.settings.webhooks import WebhookSettings
from service.webhooks import post
from service.webhooks.post import Post, PostOutcome, PostResult
from tests.fakes.certificates import make_certificates
from tests.fakes.valkey import free_port
from tests.fakes.webhook_receiver import WebhookReceiver

SECRET = "hunter2"


def send(url: str, **settings: Any) -> PostResult:
    webhook = WebhookSettings.model_validate({"name": "audit", "url": url, **settings})
    return Post(webhook.receiver()).send("id-1", b"{}", "application/json", 1_700_000_000)


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """A server that answers each connection with these bytes, and then says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connections = []
            while True:
                try:
                    connections.append(server.accept()[0])
                    connections[-1].recv(65_536)
                    connections[-1].sendall(answer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, PostOutcome.RECEIVED), (204, PostOutcome.RECEIVED), (301, PostOutcome.RETRY), (307, PostOutcome.RETRY),
        (400, PostOutcome.NOT_TAKEN), (401, PostOutcome.RETRY), (404, PostOutcome.RETRY), (410, PostOutcome.GONE),
        (413, PostOutcome.NOT_TAKEN), (422, PostOutcome.NOT_TAKEN), (429, PostOutcome.RETRY), (500, PostOutcome.RETRY),
        (503, PostOutcome.RETRY),
    ],
)  # fmt: skip
def test_only_the_status_counts(status: int, outcome: PostOutcome) -> None:
    with WebhookReceiver(status) as receiver:
        result = send(receiver.url)
        assert result.outcome is outcome
        assert bool(result.error) is (outcome is not PostOutcome.RECEIVED)


def test_a_message_has_a_name_a_time_and_a_signature() -> None:
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with WebhookReceiver() as receiver:
        send(f"{receiver.url}?a=b", secret=key)
        send(receiver.url)
        signed, bare = receiver.received
    assert signed.path == "/hook?a=b"
    assert (signed.id, signed.headers["webhook-timestamp"]) == ("id-1", "1700000000")
    assert signed.headers["webhook-signature"].startswith("v1,")
    assert signed.headers["content-type"] == "application/json"
    assert "webhook-signature" not in bare.headers


def test_no_redirect_is_followed() -> None:
    with WebhookReceiver() as other, WebhookReceiver((308, {"Location": other.url})) as receiver:
        assert send(receiver.url).outcome is PostOutcome.RETRY
        assert other.requests == []


@pytest.mark.parametrize(("header", "wait_s"), [("7", 7), ("86400000", 3600), ("-5", 0), ("soon", 0)])
def test_the_receiver_may_ask_for_an_hour_at_most(header: str, wait_s: float) -> None:
    with WebhookReceiver((503, {"Retry-After": header})) as receiver:
        assert send(receiver.url).retry_after_s == wait_s


def test_the_body_of_an_answer_is_not_read() -> None:
    """The body would never end."""
    for head, error in ((b"HTTP/1.1 200 OK", ""), (b"HTTP/1.1 500 No", "500")):
        with raw_server(head + b"\r\nContent-Length: 100000000000\r\n\r\nx") as url:
            assert send(url).error.rpartition(" answers ")[2] == error


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_receiver_that_stalls_or_answers_nonsense_is_tried_again(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "TIMEOUT_S", 0.3)
    with raw_server(answer) as url:
        result = send(url)
    assert result.outcome is PostOutcome.RETRY
    assert SECRET not in result.error


def test_a_receiver_that_is_away_is_named_without_the_secret_part_of_its_address() -> None:
    port = free_port()
    result = send(f"http://127.0.0.1:{port}/{SECRET}?token={SECRET}")
    assert result == PostResult(PostOutcome.RETRY, f"http://127.0.0.1:{port} cannot be reached: Connection refused")


def test_certificates_are_checked(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with WebhookReceiver(tls=certificates.server) as receiver:
        refused = send(receiver.url)
        assert "shows a certificate that is not trusted here: set ca_file" in refused.error
        assert receiver.requests == []
        assert send(receiver.url, ca_file=certificates.authority).outcome is PostOutcome.RECEIVED
