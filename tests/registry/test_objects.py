"""Errors of an object storage: retries, refusals, and the keys that were not deleted."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from service.domain.errors import LeaseLost, StorageRefused, StorageUnavailable
from service.registry.bucket import Bucket, open_bucket, open_folder
from service.registry.objects import ObjectStore

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
DELETED = b"<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>"
Answer = Callable[[str, str, bytes], tuple[int, bytes]]


class StubS3:
    """A server whose answers a test makes up; it counts requests."""

    def __init__(self) -> None:
        self.answer: Answer = lambda method, path, body: (200, b"")
        self.requests: list[str] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stub.requests.append(f"{self.command} {self.path}")
                status, content = stub.answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Last-Modified", "Sun, 29 Nov 2026 12:00:00 GMT")
                self.send_header("ETag", '"0"')
                self.end_headers()
                # A client that has stopped waiting is not there any more.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def stub() -> Iterator[StubS3]:
    stub = StubS3()
    thread = Thread(target=stub.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


def objects(stub: StubS3, timeout_s: float = 5.0) -> ObjectStore:
    return open_bucket(Bucket("s3://registry", stub.url, access_key="a", secret_key="b", timeout_s=timeout_s))


def test_slow_down_is_tried_again(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (503, SLOW_DOWN) if len(stub.requests) < 3 else (200, b"text")
    assert objects(stub).read("a") == b"text"
    assert len(stub.requests) == 3


def test_slow_down_for_ever_is_unavailable(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (503, SLOW_DOWN)
    with pytest.raises(StorageUnavailable, match="a cannot be read: SlowDown: Please reduce"):
        objects(stub, timeout_s=0.5).read("a")
    assert len(stub.requests) <= 6


@pytest.mark.parametrize("call", [lambda store: store.read("a"), lambda store: list(store.list("a")),
                                  lambda store: store.write("a", b""), lambda store: store.head("a"),
                                  lambda store: store.obeys_conditions])  # fmt: skip
def test_missing_rights_are_refused_at_once(stub: StubS3, call: Callable[[ObjectStore], object]) -> None:
    stub.answer = lambda method, path, body: (403, DENIED)
    with pytest.raises(StorageRefused, match="check the credentials and the policy of the bucket"):
        call(objects(stub))
    assert len(stub.requests) == 1


def test_a_refusal_has_the_words_of_the_storage_and_no_xml(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (403, b'<?xml version="1.0"?>\n' + DENIED)
    with pytest.raises(StorageRefused, match=re.escape("do not suffice (AccessDenied: Access Denied): check")):
        objects(stub).write("a", b"")
    with pytest.raises(StorageRefused, match=r"suffice \(HEAD http.*403 Forbidden\): check"):
        objects(stub).head("a")
    stub.answer = lambda method, path, body: (400, b'<?xml version="1.0"?><html/>')
    with pytest.raises(StorageUnavailable, match="400 Bad Request: look at the storage"):
        objects(stub).write("a", b"")


def test_each_key_that_was_not_deleted_is_named(stub: StubS3) -> None:
    """S3 answers a bulk deletion with 200 and names in its body what failed."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "DELETE":
            return (403, DENIED) if path.endswith(("/b", "/d")) else (204, b"")
        keys = re.findall(rb"<Key>(\w+)</Key>", body)
        failed = b"".join(b"<Error><Key>%b</Key><Code>AccessDenied</Code><Message>no</Message></Error>" % key
                          for key in keys if key in (b"b", b"d"))  # fmt: skip
        deleted = b"".join(b"<Deleted><Key>%b</Key></Deleted>" % key for key in keys if key not in (b"b", b"d"))
        return 200, b"<DeleteResult>" + deleted + failed + b"</DeleteResult>"

    stub.answer = answer
    assert objects(stub).delete(["a", "b", "c", "d"]).keys() == {"b", "d"}


def test_keys_are_deleted_in_calls_of_a_thousand(stub: StubS3) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        deleted = (b"<Deleted><Key>%b</Key></Deleted>" % key for key in re.findall(rb"<Key>(\w+)</Key>", body))
        return 200, b"<DeleteResult>" + b"".join(deleted) + b"</DeleteResult>"

    stub.answer = answer
    assert objects(stub).delete([f"k{number}" for number in range(2001)]) == {}
    assert [request.split()[0] for request in stub.requests] == ["POST", "POST", "POST"]


def test_a_bucket_that_does_not_answer_is_unavailable(stub: StubS3) -> None:
    def hang(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        time.sleep(1.0)
        return 200, b""

    stub.answer = hang
    with pytest.raises(StorageUnavailable, match="a cannot be read"):
        objects(stub, timeout_s=0.2).read("a")


# The storage takes longer than the client waits, who waits longer than a busy machine stands still.
HANGS_S, TIMEOUT_S = 60.0, 3.0


@pytest.mark.parametrize(
    ("status", "content"),
    [
        pytest.param(0, b"", marks=pytest.mark.slow),
        (500, b"<Error><Code>InternalError</Code></Error>"),
        (503, b"<html>proxy</html>"),
        (504, b""),
        (200, b"<"),
    ],
)
def test_a_deletion_without_an_answer_is_uncertain_and_not_sent_again(
    stub: StubS3, status: int, content: bytes
) -> None:
    """The storage may carry it out later. That a deletion of the same keys succeeds afterwards proves nothing."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if len(stub.requests) > 1:
            return 200, DELETED
        time.sleep(0 if status else HANGS_S)
        return status or 200, content or DELETED

    stub.answer = answer
    with pytest.raises(StorageUnavailable, match="a request to delete 2 objects was not answered") as raised:
        objects(stub, timeout_s=TIMEOUT_S).delete(["a", "b"])
    assert not raised.value.is_over
    assert len(stub.requests) == 1


def test_a_key_without_an_answer_makes_the_whole_deletion_uncertain(stub: StubS3) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if body.count(b"<Key>") > 1:
            return 200, b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message/></Error></DeleteResult>"
        return (504, b"") if b"<Key>b</Key>" in body else (200, DELETED)

    stub.answer = answer
    with pytest.raises(StorageUnavailable, match="a request to delete 1 objects was not answered"):
        objects(stub).delete(["a", "b", "c"])


def test_a_deletion_that_the_busy_storage_refused_is_sent_again(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (503, SLOW_DOWN) if len(stub.requests) < 3 else (200, DELETED)
    checks: list[int] = []
    assert objects(stub).delete(["a"], lambda: checks.append(len(stub.requests))) == {}
    assert checks == [0, 1, 2], "the check comes right before each request"


@pytest.mark.slow
def test_a_busy_storage_and_one_that_is_not_reached_have_deleted_nothing(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (503, SLOW_DOWN)
    store = objects(stub)
    assert store.delete(["a"]).keys() == {"a"}
    stub.server.shutdown()
    stub.server.server_close()
    assert store.delete(["a"]).keys() == {"a"}


def test_a_deletion_ends_as_soon_as_the_lease_is_lost(stub: StubS3) -> None:
    def check() -> None:
        if stub.requests:
            raise LeaseLost("another worker collects")

    stub.answer = lambda method, path, body: (200, DELETED)
    with pytest.raises(LeaseLost):
        objects(stub).delete([f"k{number}" for number in range(1001)], check)
    assert len(stub.requests) == 1


def test_a_condition_that_is_obeyed_is_used(stub: StubS3) -> None:
    statuses = iter([412, 204, 412])

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        return (next(statuses), b"") if method == "DELETE" else (200, DELETED if method == "POST" else b"1")

    stub.answer = answer
    store = objects(stub)
    assert store.delete_if("a", "etag")
    assert not store.delete_if("a", "etag"), "it has another ETag by now"


@pytest.mark.parametrize("status", [pytest.param(0, marks=pytest.mark.slow), 500, 503, 504])
def test_a_deletion_on_a_condition_is_not_sent_again(stub: StubS3, status: int) -> None:
    """The request may arrive late, and meet a tag that was pushed again to the same digest, with the same ETag."""
    deletions: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method != "DELETE":
            return 200, DELETED if method == "POST" else b"1"
        deletions.append(path)
        if len(deletions) == 2 and not status:
            time.sleep(HANGS_S)
        return 412 if len(deletions) == 1 else status or 204, b""

    stub.answer = answer
    with pytest.raises(StorageUnavailable, match="a was not deleted"):
        objects(stub, timeout_s=TIMEOUT_S).delete_if("a", "etag")
    assert len(deletions) == 2, "the probe, and one request"


def test_a_condition_that_is_ignored_is_not_relied_upon(stub: StubS3) -> None:
    stub.answer = lambda method, path, body: (404, b"") if method == "GET" else (200, DELETED)
    assert objects(stub).delete_if("a", "etag")
    assert sum("X-Amz-Signature" in request for request in stub.requests) == 1, "the probe alone"


@pytest.mark.parametrize("delete", [ObjectStore.delete, ObjectStore.delete_with_folders])
def test_a_file_that_cannot_be_deleted_is_named_and_the_others_are_deleted(
    delete: Callable[[ObjectStore, list[str]], dict[str, str]], tmp_path: Path
) -> None:
    store = open_folder(tmp_path)
    assert store is not None
    store.write("a/folder/data", b"")
    store.write("a/link", b"")
    assert delete(store, ["a/folder", "a/link", "a/none"]).keys() == {"a/folder"}
    assert [stored.key for stored in store.list()] == ["a/folder/data"]


def test_no_file_is_deleted_once_the_lease_is_lost(tmp_path: Path) -> None:
    store = open_folder(tmp_path)
    assert store is not None
    store.write("a/link", b"")

    def lost() -> None:
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        store.delete(["a/link"], lost)
    assert store.read("a/link") == b""
