"""GET /gate: requests that pass at once, requests that wait and for how long, and the time without Redis."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask
from werkzeug.test import TestResponse

from service.collect.gatekeeper import Gatekeeper
from service.domain.collection.gate import WriteRequest
from service.domain.errors import StoreUnavailable
from service.process import identity
from service.settings import load_settings
from service.store import Store
from service.store.gate import Gate
from service.web import gate
from service.wiring import Wiring, wire
from tests.conftest import MakeWiring
from tests.fakes.valkey import Valkey
from tests.support.edge import ServeEdge
from tests.support.waiting import until

pytestmark = pytest.mark.slow

BLOB = "/v2/shop/api/blobs/sha256:" + "ab" * 32
UPLOAD = "/v2/shop/api/blobs/uploads/"
MANIFEST = "/v2/shop/api/manifests/v1"
SOON_S = 0.3


class Doorstep:
    """/gate over a wiring. client: sends its requests; keeper: decides about them."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.keeper = Gatekeeper(wiring.store, wiring.settings)
        app = Flask("gate", static_folder=None)
        app.register_blueprint(gate.blueprint(wiring.settings, self.keeper))
        self._app = app

    def ask(self, method: str, uri: str, **headers: str) -> TestResponse:
        messages = {"X-Original-Method": method, "X-Original-URI": uri, "X-Forwarded-For": "10.0.0.7"}
        messages |= {name.replace("_", "-"): text for name, text in headers.items()}
        answer = self._app.test_client().get("/gate", headers=messages)
        answer.close()
        return answer

    def ask_later(self, method: str, uri: str) -> Callable[[], int]:
        """Ask the gate in a thread; the future is the status of its answer."""
        status: list[int] = []
        thread = threading.Thread(target=lambda: status.append(self.ask(method, uri).status_code))
        thread.start()

        def answer() -> int:
            thread.join(240)
            return status[0]

        return answer

    @property
    def waiting(self) -> int:
        return sum(self.keeper._waiting.values())

    def close(self) -> None:
        assert self.wiring.store.gate.drain("t1", 1, "by hand")
        assert self.wiring.store.gate.close("t1")
        until(lambda: not self.wiring.store.gate.unaware("t1"))

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


Stand = Callable[..., Doorstep]


@pytest.fixture
def stand(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """stand(hasty=True, …): the gate with these settings, over the test's Redis or the one given.

    hasty: a write waits for SOON_S, which is less than gc.gate_wait allows.
    """
    # No test waits for a Redis that does not answer when it ends.
    monkeypatch.setattr("service.collect.gatekeeper._SIGN_OFF_S", 0)
    with ExitStack() as stack:

        def build(url: str | None = None, hasty: bool = False, **settings: Any) -> Doorstep:
            gc = {"gate": "proxy", **settings}
            wiring = wire(load_settings(environ={}, redis={"url": url}, gc=gc)) if url else make_wiring(gc=gc)
            if hasty:
                short = wiring.settings.gc.model_copy(update={"gate_wait": SOON_S})
                wiring = replace(wiring, settings=wiring.settings.model_copy(update={"gc": short}))
            made = Doorstep(wiring)
            stack.callback(made.keeper.stop)
            return made

        yield build


def test_an_open_gate_lets_everybody_pass(stand: Stand) -> None:
    door = stand()
    for method, uri in (("HEAD", BLOB), ("POST", UPLOAD), ("PUT", MANIFEST), ("DELETE", MANIFEST), ("PATCH", "/odd")):
        answer = door.ask(method, uri)
        assert (answer.status_code, answer.data) == (204, b"")


def test_a_closed_gate_sends_them_away_after_a_while(stand: Stand) -> None:
    door = stand(hasty=True)
    door.close()
    answer = door.ask("PUT", MANIFEST)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.mimetype == "application/problem+json"
    door.store.meter.flush()
    assert door.store.meter.read().timings["gate_wait", "refused"].sum_s >= SOON_S


def test_reads_never_wait(stand: Stand) -> None:
    door = stand()
    door.close()
    assert door.ask("GET", MANIFEST).status_code == 204
    assert door.ask("HEAD", MANIFEST).status_code == 204


def test_a_waiting_request_passes_as_soon_as_the_gate_opens(stand: Stand) -> None:
    door = stand()
    door.close()
    answers = [door.ask_later("PUT", MANIFEST), door.ask_later("POST", UPLOAD)]
    until(lambda: door.waiting == 2)
    door.store.gate.open("t1")
    assert [answer() for answer in answers] == [204, 204]
    assert door.waiting == 0


def test_manifests_may_take_every_place_and_blobs_half(stand: Stand) -> None:
    door = stand(gate_waiting=4)
    door.close()
    answers = [door.ask_later("POST", UPLOAD), door.ask_later("HEAD", BLOB)]
    until(lambda: door.waiting == 2)
    assert door.ask("POST", UPLOAD).status_code == 503
    answers += [door.ask_later("PUT", MANIFEST), door.ask_later("PUT", MANIFEST)]
    until(lambda: door.waiting == 4)
    assert door.ask("PUT", MANIFEST).status_code == 503
    door.store.gate.open("t1")
    assert {answer() for answer in answers} == {204}


def test_strangers_are_not_answered(stand: Stand) -> None:
    client = stand()._app.test_client()
    for address, status in (("127.0.0.1", 204), ("172.18.0.3", 204), ("fd00::3", 204), ("8.8.8.8", 403)):
        headers = {"X-Original-Method": "GET", "X-Original-URI": MANIFEST}
        answer = client.get("/gate", headers=headers, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == status


def test_other_proxies_have_other_headers(stand: Stand) -> None:
    door = stand(hasty=True)
    door.close()
    client = door._app.test_client()
    for method, uri in (("X-Forwarded-Method", "X-Forwarded-Uri"), ("X-Original-Method", "X-Original-URL")):
        for asked, status in (("PUT", 503), ("GET", 204)):
            headers = {method: asked, uri: f"https://registry.example{MANIFEST}"}
            assert client.get("/gate", headers=headers).status_code == status


def test_a_client_that_says_it_only_reads_is_not_believed(stand: Stand) -> None:
    """A proxy that sets the one pair of headers passes on the other as the client sent it."""
    door = stand(hasty=True)
    door.close()
    forged = {"X_Forwarded_Method": "GET", "X_Forwarded_Uri": MANIFEST}
    assert door.ask("PUT", MANIFEST, **forged).status_code == 503
    assert door.ask("GET", MANIFEST, X_Forwarded_Method="PUT", X_Forwarded_Uri=MANIFEST).status_code == 503


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"X-Original-Method": "PUT"}])
def test_a_request_that_names_nothing_does_not_pass(stand: Stand, headers: dict[str, str]) -> None:
    """A web page cannot send more than that to another origin, and notes no push."""
    door = stand()
    answer = door._app.test_client().get("/gate", headers=headers)
    assert answer.status_code == 403
    assert "X-Original-URI" in answer.text
    client: Any = door.store.connection.client
    assert not client.exists(door.store.connection.keys.of("pushing"))


def test_a_process_obeys_only_when_all_that_passed_before_was_answered(stand: Stand) -> None:
    door = stand()
    door.keeper.start()
    assert door.keeper.ask(WriteRequest("begins", "shop/api"), "c")
    assert door.store.gate.drain("t1", 1, "by hand")
    assert door.store.gate.close("t1")
    until(lambda: door.keeper._state == "closed")
    looked_s = door.keeper._contact_s
    until(lambda: door.keeper._contact_s > looked_s + 0.2)
    assert door.store.gate.unaware("t1")
    door.keeper.answered()
    until(lambda: not door.store.gate.unaware("t1"))


def test_a_process_that_is_no_more_is_signed_off_by_the_next_one_of_the_same_container(stand: Stand) -> None:
    door = stand()
    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = replace(identity.current(), pid=ended.pid)
    others = {str(replace(gone, pids="1")), str(replace(gone, boot="other")), f"{gone.host}:{ended.pid}", "elsewhere:1"}
    for name in (str(gone), *others):
        door.store.gate.check_in(name, "")
    successor = Gatekeeper(door.store, door.wiring.settings)
    successor.start()
    assert set(door.store.gate.processes()) == {*others, door.keeper._process, successor._process}
    door.keeper.stop()
    successor.stop()
    assert set(door.store.gate.processes()) == others


def test_the_only_process_signs_off_all_earlier_ones_once_it_reaches_redis(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, absences, processes = stand(), [StoreUnavailable("Redis starts")], Gate.processes
    door.store.gate.check_in("c0ffee/boot/1/7/ab")

    def listed(gate: Gate) -> tuple[str, ...]:
        if absences:
            raise absences.pop()
        return processes(gate)

    monkeypatch.setattr(Gate, "processes", listed)
    only = Gatekeeper(door.store, door.wiring.settings, is_only=True)
    only.start()
    until(lambda: only._process in door.store.gate.processes())
    assert set(door.store.gate.processes()) <= {only._process, door.keeper._process}
    only.stop()


def test_a_process_that_ends_waits_for_redis_to_sign_off(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    door, absences = stand(), [StoreUnavailable("Redis restarts"), StoreUnavailable("Redis loads its data")]
    assert door.ask("PUT", MANIFEST).status_code == 204
    check_out = Gate.check_out

    def checked_out(gate: Gate, *processes: str) -> None:
        if absences:
            raise absences.pop()
        check_out(gate, *processes)

    monkeypatch.setattr(Gate, "check_out", checked_out)
    monkeypatch.setattr("service.collect.gatekeeper._SIGN_OFF_S", 240)
    door.keeper.stop()
    assert door.store.gate.processes() == ()


def test_a_request_that_waits_is_refused_when_the_process_ends(stand: Stand) -> None:
    door = stand(gate_wait=600)
    door.close()
    answer = door.ask_later("PUT", MANIFEST)
    until(lambda: door.waiting == 1)
    door.keeper.stop()
    assert answer() == 503


def test_two_processes_with_the_same_host_and_number_are_two(stand: Stand) -> None:
    """Containers that share a host's name: one that obeys the closed gate says nothing of the other."""
    door, other = stand(), stand()
    door.keeper.start()
    other.keeper.start()
    assert len(door.store.gate.processes()) == 2


@pytest.fixture
def mortal(tmp_path: Any) -> Iterator[Valkey]:
    """A Redis of this test's own, to be killed."""
    with Valkey(tmp_path / "redis", append_only=True) as server:
        yield server


@pytest.mark.parametrize(("mode", "status"), [("auto", 204), ("open", 204), ("closed", 503)])
def test_without_redis_an_open_gate_does_as_configured(stand: Stand, mortal: Valkey, mode: str, status: int) -> None:
    door = stand(mortal.url, gate_without_redis=mode, hasty=True)
    assert door.ask("PUT", MANIFEST).status_code == 204
    mortal.kill()
    assert door.ask("POST", UPLOAD).status_code == status


@pytest.mark.parametrize(("mode", "status"), [("auto", 503), ("open", 204), ("closed", 503)])
def test_without_redis_a_closed_gate_stays_closed_unless_told_otherwise(
    stand: Stand, mortal: Valkey, mode: str, status: int
) -> None:
    door = stand(mortal.url, gate_without_redis=mode, hasty=True)
    door.keeper.start()
    door.close()
    mortal.kill()
    until(lambda: door.keeper._is_away)
    assert door.ask("PUT", MANIFEST).status_code == status


def test_a_process_that_never_reached_redis_lets_nothing_pass(stand: Stand, mortal: Valkey) -> None:
    mortal.kill()
    assert stand(mortal.url, hasty=True).ask("PUT", MANIFEST).status_code == 503


def test_a_process_that_is_forgotten_by_collections_lets_nothing_pass(
    stand: Stand, mortal: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = stand(mortal.url, hasty=True)
    assert door.ask("PUT", MANIFEST).status_code == 204
    mortal.kill()
    monkeypatch.setattr("service.collect.gatekeeper._FORGOTTEN_S", 0.0)
    assert door.ask("PUT", MANIFEST).status_code == 503


def lose(door: Doorstep, *names: str) -> None:
    """Redis loses these keys, or everything."""
    client: Any = door.store.connection.client
    client.delete(*map(door.store.connection.keys.of, names)) if names else client.flushdb()


@pytest.mark.parametrize("lost", [("gate",), ("gate", "gate:opens", "gates", "gates:seen", "gate:memory"), ()])
def test_a_closed_gate_that_redis_has_lost_is_closed_again_until_it_is_opened(
    stand: Stand, lost: tuple[str, ...]
) -> None:
    """The gate's collector may live: time proves nothing."""
    door = stand(hasty=True)
    door.close()
    lose(door, *lost)
    assert door.ask("PUT", MANIFEST).status_code == 503
    until(lambda: door.store.gate.state() is not None)
    held = door.store.gate.state()
    assert held is not None
    assert (held.state, held.token, held.reason) == ("closed", "t1", "Redis had lost it")
    assert door.ask("PUT", MANIFEST).status_code == 503
    assert door.store.gate.open("t1")
    assert door.ask("PUT", MANIFEST).status_code == 204
    assert door.store.gate.state() is None


def test_a_gate_that_redis_remembers_as_draining_is_closed_again(stand: Stand) -> None:
    """A Redis that died may have lost its last second."""
    door = stand(hasty=True)
    door.close()
    client: Any = door.store.connection.client
    client.hset(door.store.connection.keys.of("gate"), "state", "draining")
    until(lambda: client.hget(door.store.connection.keys.of("gate"), "state") == "closed")
    assert door.ask("PATCH", f"{UPLOAD}abc").status_code == 503


def test_another_holder_does_not_make_a_lost_gate_forgotten(stand: Stand) -> None:
    door = stand(hasty=True)
    door.close()
    door.keeper.stop()
    lose(door, "gate")
    assert door.store.gate.drain("t2", 2, "another machine's")
    door.keeper._look()
    assert door.ask("PATCH", f"{UPLOAD}abc").status_code == 503, "it obeys the one that only drains"
    assert door.store.gate.unaware("t2"), "the other may sweep"
    door.store.gate.open("t2")
    door.keeper._look()
    assert door.ask("PUT", MANIFEST).status_code == 503
    held = door.store.gate.state()
    assert held is not None
    assert held.token == "t1"


def test_a_redis_that_has_lost_everything_is_reported_and_an_empty_one_at_the_start_is_not(stand: Stand) -> None:
    door = stand()
    door.keeper.start()
    assert door.store.gate.forgotten_s() == 0
    lose(door)
    until(lambda: door.store.gate.forgotten_s() > 3000)


def test_a_write_passes_soon_after_a_redis_with_an_open_gate_has_lost_everything(stand: Stand) -> None:
    """The write waits only until the process looks into Redis the next time."""
    door = stand(gate_wait=600)
    door.keeper.start()
    lose(door)
    assert door.ask("PUT", MANIFEST).status_code == 204


def test_requests_that_passed_without_redis_are_noted_before_the_process_reports_again(
    stand: Stand, mortal: Valkey
) -> None:
    door = stand(mortal.url)
    assert door.ask("PUT", MANIFEST).status_code == 204
    mortal.kill()
    assert door.ask("HEAD", BLOB).status_code == 204
    mortal.start()
    door.close()
    assert [item.repository for item in door.store.pushes.unreferenced([BLOB.rpartition("/")[2]])] == ["shop/api"]


def test_more_than_can_be_noted_later_does_not_pass(
    stand: Stand, mortal: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = stand(mortal.url, hasty=True)
    assert door.ask("PUT", MANIFEST).status_code == 204
    monkeypatch.setattr("service.collect.gatekeeper._MOST_UNNOTED", 1)
    mortal.kill()
    assert [door.ask("POST", UPLOAD).status_code for _ in range(2)] == [204, 503]


def test_more_pushes_than_can_be_remembered_are_a_trouble_until_there_are_fewer(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = stand()
    monkeypatch.setattr("service.collect.gatekeeper._TELL_AGAIN_S", 0.0)
    client: Any = door.store.connection.client
    client.zadd(door.store.connection.keys.of("unreferenced"), {"*": door.store.connection.now_ms()})
    assert door.ask("POST", UPLOAD).status_code == 204
    (trouble,) = door.store.outbox.troubles()
    assert trouble.message.startswith("too many unfinished pushes")
    client.delete(door.store.connection.keys.of("unreferenced"))
    assert door.ask("POST", UPLOAD).status_code == 204
    assert door.store.outbox.troubles() == ()


def test_the_gate_is_no_page_for_strangers_of_the_api(stand: Stand, no_redis: redis.Redis) -> None:
    """Reads pass without Redis."""
    wiring = wire(load_settings(environ={}, redis={"url": "redis://nowhere.invalid"}), client=no_redis)
    door = Doorstep(wiring)
    assert door.ask("GET", MANIFEST).status_code == 204


def test_the_web_process_does_not_answer_for_the_gate(serve: ServeEdge) -> None:
    """Every client behind the dashboard's proxy would seem to be local."""
    assert serve(gc={"gate": "proxy"}).http.get("/gate", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 404
