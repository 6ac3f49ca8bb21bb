"""The gate in Redis: the requests that pass, the notes about a push, and the right to open the gate."""

from typing import Any

import pytest

from service.clock import now_us
from service.domain.collection.gate import WriteRequest, client_of
from service.domain.oci.names import is_digest
from service.registry.exchange import agent_with
from service.store.connection import Connection
from service.store.gate import Gate
from service.store.history import History
from service.store.limits import PushLimits
from service.store.unfinished_pushes import MORE, UnfinishedPushes
from tests.support.gate import X, blob_heard, earlier, heard, told
from tests.support.record import digest, event, record

ANN, BOB = client_of("10.0.0.7", "docker/27"), client_of("10.0.0.8", "docker/27")
SHOP = "shop/api"


@pytest.fixture
def gate(connection: Connection) -> Gate:
    return Gate(connection)


@pytest.fixture
def pushes(connection: Connection) -> UnfinishedPushes:
    return UnfinishedPushes(connection)


def asks(blob: str = X) -> WriteRequest:
    return WriteRequest("asks", SHOP, blob)


def begins(repository: str = SHOP) -> WriteRequest:
    return WriteRequest("begins", repository)


def uploaded(blob: str = X) -> WriteRequest:
    return WriteRequest("uploads", SHOP, blob)


def tagged(repository: str = SHOP) -> WriteRequest:
    return WriteRequest("manifest", repository, by_tag=True)


def put(repository: str = SHOP) -> WriteRequest:
    return WriteRequest("manifest", repository)


DELETES, ODD = WriteRequest("deletes", SHOP), WriteRequest("writes")
ALL = (asks(), begins(), uploaded(), tagged(), put(), DELETES, ODD)


def passes(gate: Gate, write: WriteRequest, client: str = ANN) -> bool:
    return gate.admit(write, client).passes


def drain(gate: Gate, token: str = "t1") -> None:
    assert gate.drain(token, 1, "by hand")


def close(gate: Gate, token: str = "t1") -> None:
    drain(gate, token)
    assert gate.close(token)


def needed(pushes: UnfinishedPushes, *blobs: str) -> set[str]:
    return {item.digest for item in pushes.unreferenced(blobs or (X,))}


def test_open_lets_everything_pass(gate: Gate) -> None:
    assert all(passes(gate, write) for write in ALL)
    assert gate.state() is None


def test_closed_lets_nothing_pass(gate: Gate) -> None:
    passes(gate, begins())
    close(gate)
    assert not any(passes(gate, write) for write in ALL)
    held = gate.state()
    assert held is not None
    assert (held.state, held.token, held.fence, held.reason) == ("closed", "t1", 1, "by hand")


def test_while_draining_an_open_push_may_finish_and_the_next_one_waits(gate: Gate) -> None:
    passes(gate, begins())
    drain(gate)
    assert all(passes(gate, write) for write in (asks(), begins(), uploaded(), put(), tagged()))
    assert not passes(gate, asks())
    assert not passes(gate, begins())


def test_while_draining_what_begins_anew_waits(gate: Gate) -> None:
    passes(gate, begins(), ANN)
    drain(gate)
    for write in (asks(), begins(), DELETES, ODD):
        assert not passes(gate, write, BOB)
    for write in (begins("shop/web"), tagged("shop/web"), put("shop/web")):
        assert not passes(gate, write, ANN)


def test_an_upload_that_was_begun_ends_wherever_it_comes_from(gate: Gate) -> None:
    drain(gate)
    assert passes(gate, uploaded(), BOB)


def test_a_manifest_passes_where_its_repository_has_an_open_push(gate: Gate) -> None:
    """The client may come from another address than before, or from several."""
    passes(gate, begins(), ANN)
    drain(gate)
    assert passes(gate, tagged(), BOB)


def test_a_second_tag_right_after_the_first_passes(gate: Gate, connection: Connection) -> None:
    passes(gate, tagged())
    drain(gate)
    assert passes(gate, tagged())
    earlier(connection, "pushing", 4)
    assert not passes(gate, tagged())


def test_tags_that_never_end_do_not_keep_a_collection_away(gate: Gate, connection: Connection) -> None:
    passes(gate, tagged())
    drain(gate)
    earlier(connection, "gate", 31)
    assert not passes(gate, tagged())


def test_another_client_passes_once_the_push_makes_no_progress(gate: Gate, connection: Connection) -> None:
    passes(gate, begins(), ANN)
    drain(gate)
    assert not passes(gate, asks(), BOB)
    earlier(connection, "pushing", 4)
    assert passes(gate, asks(), BOB)


def test_standing_still_ends_with_the_first_half_minute(gate: Gate, connection: Connection) -> None:
    passes(gate, begins(), ANN)
    drain(gate)
    earlier(connection, "pushing", 40)
    earlier(connection, "gate", 31)
    assert not passes(gate, begins(), BOB)


def test_a_push_of_long_ago_lets_no_request_pass(gate: Gate, connection: Connection) -> None:
    passes(gate, begins(), ANN)
    passes(gate, tagged(), BOB)
    earlier(connection, "pushing", 660)
    drain(gate)
    for write in (asks(), begins(), tagged()):
        assert not passes(gate, write, ANN)


def test_a_push_is_waited_for_from_its_beginning_to_its_tag(gate: Gate, pushes: UnfinishedPushes) -> None:
    assert pushes.repositories() == ()
    passes(gate, begins())
    passes(gate, put())
    assert pushes.repositories() == (SHOP,)
    passes(gate, tagged())
    assert pushes.repositories() == ()


def test_a_stalled_push_is_not_waited_for_and_its_blobs_are_kept(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, begins())
    passes(gate, uploaded())
    earlier(connection, "pushing", 31)
    assert pushes.repositories() == ()
    assert needed(pushes) == {X}


def test_a_client_that_only_reads_is_waited_for_briefly(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, asks())
    assert pushes.repositories() == (SHOP,)
    drain(gate)
    assert pushes.repositories() == (SHOP,)
    earlier(connection, "gate", 31)
    assert pushes.repositories() == ()


def test_a_tag_that_leaves_something_loose_is_waited_for_until_its_manifest_is_reported(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, uploaded())
    passes(gate, tagged())
    assert pushes.repositories() == (SHOP,)
    heard(History(connection), X)
    assert pushes.repositories() == ()


@pytest.mark.parametrize(
    "write", [asks(), WriteRequest("begins", SHOP, X), uploaded()], ids=["asked", "mounted", "uploaded"]
)
def test_a_blob_that_a_push_relies_on_is_listed_as_unreferenced(
    gate: Gate, write: WriteRequest, pushes: UnfinishedPushes
) -> None:
    passes(gate, write)
    assert [(item.repository, item.digest, item.heard) for item in pushes.unreferenced([X])] == [(SHOP, X, False)]
    assert pushes.unreferenced([digest("other")]) == ()


def test_a_manifest_that_was_reported_frees_what_it_references_and_no_more(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    y = digest("y")
    passes(gate, uploaded(X))
    passes(gate, uploaded(y))
    passes(gate, tagged())
    heard(History(connection), X)
    assert needed(pushes, X, y) == {y}


def test_a_manifest_frees_nothing_for_another_client(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, uploaded(), BOB)
    passes(gate, tagged(), ANN)
    heard(History(connection), X, who="10.0.0.7:4711")
    assert needed(pushes) == {X}


def test_a_late_manifest_does_not_free_what_the_next_push_relies_on(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, uploaded())
    passes(gate, tagged())
    earlier(connection, "pushing", 1)
    passes(gate, asks())
    heard(History(connection), X)
    assert needed(pushes) == {X}


def test_without_a_gate_notifications_tell_of_pushes(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    history = History(connection)
    blob_heard(history)
    assert pushes.repositories() == (SHOP,)
    assert [(item.digest, item.heard) for item in pushes.unreferenced([X])] == [(X, True)]
    heard(history, X)
    assert pushes.repositories() == ()
    assert needed(pushes) == set()


def test_a_mount_that_was_reported_is_loose_and_our_own_pushes_and_pulls_are_not(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    history = History(connection)
    blob_heard(history, digest("ours"), 1, useragent=agent_with(history.word()))
    blob_heard(history, digest("pulled"), 2, action="pull")
    blob_heard(history, digest("mounted"), 3, action="mount")
    assert needed(pushes, *map(digest, ("ours", "pulled", "mounted"))) == {digest("mounted")}


def test_a_part_of_an_index_does_not_end_the_push(gate: Gate, connection: Connection, pushes: UnfinishedPushes) -> None:
    history = History(connection)
    blob_heard(history)
    heard(history, X, tag=None)
    assert pushes.repositories() == (SHOP,)


def test_requests_older_than_the_youth_are_forgotten(connection: Connection) -> None:
    gate = Gate(connection, PushLimits(youth_ms=60_000))
    pushes = UnfinishedPushes(connection, PushLimits(youth_ms=60_000))
    passes(gate, uploaded())
    earlier(connection, "unreferenced", 61)
    earlier(connection, "pushing", 61)
    assert needed(pushes) == set()
    passes(gate, begins("shop/web"))
    client: Any = connection.client
    assert client.zcard(connection.keys.of("unreferenced")) == 0
    assert client.zcard(connection.keys.of("pushing")) == 1


def test_more_digests_than_can_be_remembered_are_reported_as_an_overflow(connection: Connection) -> None:
    gate = Gate(connection, PushLimits(pushes=2, blobs=2))
    pushes = UnfinishedPushes(connection, PushLimits(pushes=2, blobs=2))
    for number in range(5):
        assert passes(gate, WriteRequest("asks", f"shop/{number}", digest(number)))
    client: Any = connection.client
    assert client.zcard(connection.keys.of("pushing")) == 3
    assert client.zcard(connection.keys.of("unreferenced")) == 3
    assert pushes.repositories()[0] == MORE
    assert {item.digest for item in pushes.unreferenced([digest(0), digest(4)])} == {digest(0), ""}


def test_stalled_pushes_are_forgotten_before_active_ones(connection: Connection) -> None:
    gate = Gate(connection, PushLimits(pushes=2))
    pushes = UnfinishedPushes(connection, PushLimits(pushes=2))
    for number in range(2):
        assert not gate.admit(begins(f"shop/{number}"), ANN).overflows
    earlier(connection, "pushing", 31)
    assert not gate.admit(begins(), ANN).overflows
    assert pushes.repositories() == (SHOP,)
    for number in range(2):
        message = gate.admit(begins(f"shop/{number}"), ANN)
    assert message.overflows
    earlier(connection, "pushing", 31)
    assert not gate.admit(begins(), ANN).overflows


@pytest.mark.parametrize("what", ["pushes", "blobs"])
def test_notifications_beyond_the_limit_are_reported_as_an_overflow(connection: Connection, what: str) -> None:
    bounds = PushLimits(**{what: 1})
    history, gate = History(connection, gate=bounds), Gate(connection, bounds)
    pushes = UnfinishedPushes(connection, bounds)
    blob_heard(history, digest("x"), 1)
    blob_heard(history, digest("y"), 2, repository="shop/web")
    assert gate.admit(DELETES, ANN).overflows
    assert (MORE in pushes.repositories()) == (what == "pushes")


def test_a_request_of_a_client_is_believed_only_for_a_moment(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    """The registry may have refused the request: every client that reaches the proxy can send some."""
    passes(gate, begins())
    drain(gate)
    assert passes(gate, begins())
    earlier(connection, "gate", 6)
    for write in (asks(), begins(), put(), tagged()):
        assert not passes(gate, write)
    assert pushes.repositories() == ()
    told(connection)
    assert pushes.repositories() == (SHOP,)
    for write in (asks(), begins(), put(), tagged()):
        assert passes(gate, write)


def test_a_notification_about_one_client_proves_no_request_of_another(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, begins(), BOB)
    passes(gate, begins("shop/web"), ANN)
    told(connection)
    drain(gate)
    earlier(connection, "gate", 6)
    assert not passes(gate, asks(), BOB)
    assert not passes(gate, begins("shop/web"), ANN)
    assert pushes.repositories() == (SHOP,)


def test_continuing_an_upload_while_the_gate_drains_begins_no_push(gate: Gate, pushes: UnfinishedPushes) -> None:
    """The upload may be one that no client began."""
    drain(gate)
    assert passes(gate, uploaded())
    assert not passes(gate, begins())
    assert pushes.repositories() == ()
    assert needed(pushes) == {X}


def test_without_references_a_push_is_over_with_its_tag_and_frees_what_its_manifest_turns_out_to_reference(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    y, history = digest("y"), History(connection)
    blob_heard(history)
    passes(gate, uploaded())
    passes(gate, uploaded(y))
    passes(gate, tagged())
    assert pushes.repositories() == (SHOP,), "its manifest is not heard of yet"
    heard(history)
    assert pushes.repositories() == ()
    (unread,) = pushes.unread_manifests()
    assert (unread.repository, unread.client) == (SHOP, ANN)
    passes(gate, asks(y))
    assert pushes.release_blobs(unread, [X, y, digest("z")]) == 2, "the gate's and the registry's word"
    assert needed(pushes, X, y) == {y}, "the next push relies on that"
    assert pushes.unread_manifests() == ()


def test_a_manifest_that_was_read_frees_nothing_for_another_client_or_repository(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    passes(gate, uploaded(), BOB)
    passes(gate, WriteRequest("uploads", "shop/web", X))
    passes(gate, tagged())
    heard(History(connection))
    assert pushes.release_blobs(pushes.unread_manifests()[0], [X]) == 0
    assert {item.repository for item in pushes.unreferenced([X])} == {SHOP, "shop/web"}


def test_only_the_holder_turns_the_gate(gate: Gate) -> None:
    assert not gate.close("t1"), "it has no holder"
    drain(gate)
    drain(gate)
    assert not gate.drain("t2", 2, "x")
    assert not gate.close("t2")
    assert not gate.open("t2")
    assert gate.open("t1")
    assert gate.state() is None
    assert gate.check_in("web:1", "t1").was_opened
    assert not gate.check_in("web:1", "t0").was_opened


def test_a_gate_does_not_open_by_time(gate: Gate, connection: Connection) -> None:
    close(gate)
    assert connection.client.ttl(connection.keys.of("gate")) == -1


def test_requests_that_passed_without_redis_are_noted_whatever_the_gate_says_now(
    gate: Gate, pushes: UnfinishedPushes
) -> None:
    close(gate)
    assert gate.admit(uploaded(), ANN, passed=True).passes
    assert needed(pushes) == {X}


def test_a_process_is_waited_for_until_it_obeys_this_gate(gate: Gate) -> None:
    close(gate)
    signed = gate.check_in("web:1", "")
    assert (signed.state, signed.token, signed.was_opened) == ("closed", "t1", False)
    gate.check_in("web:2", "t0")
    assert gate.unaware("t1") == ("web:1", "web:2")
    gate.check_in("web:1", "t1")
    gate.check_in("web:2", "t1", obeys=False)
    assert gate.unaware("t1") == ("web:2",)
    gate.check_in("web:2", "t1")
    assert gate.unaware("t1") == ()
    gate.check_in("web:2", "")
    assert gate.unaware("t1") == ("web:2",)
    gate.check_out("web:2")
    assert gate.processes() == ("web:1",)


def test_a_process_is_forgotten_after_an_hour_and_not_before(gate: Gate, connection: Connection) -> None:
    gate.check_in("web:1", "")
    earlier(connection, "gates", 3500)
    gate.check_in("web:2", "")
    assert gate.processes() == ("web:1", "web:2")
    earlier(connection, "gates", 3700)
    gate.check_in("web:3", "")
    assert gate.processes() == ("web:3",)


def test_the_digests_that_were_about_to_be_swept_are_remembered(gate: Gate) -> None:
    gate.note_deleting([])
    gate.note_deleting(digest(number) for number in range(1500))
    assert len(gate.was_deleting()) == 1500


def test_a_put_of_a_manifest_may_be_on_its_way_from_the_proxy_for_a_while(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes
) -> None:
    assert all(passes(gate, write) for write in (asks(), begins(), uploaded(), DELETES))
    assert not pushes.may_have_passed(60)
    for write, noted in ((put(), "pushing"), (tagged(), "pushing"), (ODD, "gc:noted")):
        passes(gate, write)
        assert pushes.may_have_passed(60)
        for name in (noted, "manifest_puts"):
            earlier(connection, name, 61)
        assert not pushes.may_have_passed(60)


def put_at(reference: str = "v1", repository: str = SHOP) -> WriteRequest:
    return WriteRequest("manifest", repository, by_tag=not is_digest(reference), reference=reference)


def reported(history: History, number: int = 1, address: str = "10.0.0.7:4711", **more: Any) -> None:
    """The registry reports a push at this moment."""
    record(history, event(number, at_us=now_us(), address=address, **more))


def test_a_notification_of_each_put_proves_that_none_is_on_its_way(
    gate: Gate, pushes: UnfinishedPushes, history: History
) -> None:
    """PUTs of the same tag are counted: each has a notification of its own. One that comes twice counts once."""
    assert pushes.reported_ms()
    passes(gate, put_at())
    passes(gate, put_at())
    assert not pushes.reported_ms()
    reported(history, 1)
    reported(history, 1)
    assert not pushes.reported_ms()
    assert pushes.may_have_passed(60)
    reported(history, 2)
    assert pushes.reported_ms()
    assert not pushes.may_have_passed(60)
    passes(gate, put_at())
    assert not pushes.reported_ms()
    reported(history, 3)
    assert pushes.reported_ms()


def test_a_put_by_digest_is_reported_without_a_tag(gate: Gate, pushes: UnfinishedPushes, history: History) -> None:
    passes(gate, put_at(digest("a child")))
    reported(history, 1, tag=None, seed="another")
    assert not pushes.reported_ms()
    reported(history, 2, tag=None, digest=digest("a child"))
    assert pushes.reported_ms()


@pytest.mark.parametrize(
    ("write", "who"),
    [
        (put_at("v2"), "10.0.0.7:4711"),
        (put_at(repository="shop/web"), "10.0.0.7:4711"),
        (put_at(), "10.0.0.9:4711"),
        (tagged(), "10.0.0.7:4711"),
    ],
    ids=("another tag", "another repository", "another client", "unknown reference"),
)
def test_a_notification_proves_nothing_about_another_put(
    gate: Gate, pushes: UnfinishedPushes, history: History, write: WriteRequest, who: str
) -> None:
    passes(gate, write)
    reported(history, address=who)
    assert not pushes.reported_ms()


def test_a_put_of_an_earlier_version_of_the_gate_process_is_never_reported(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes, history: History
) -> None:
    """Such a process notes in Redis that the client put a manifest, and does not note its reference."""
    client: Any = connection.client
    passes(gate, put_at())
    reported(history)
    assert pushes.reported_ms()
    client.zincrby(connection.keys.of("pushing"), 1, f"{SHOP} {ANN} put")
    assert not pushes.reported_ms()


def test_more_puts_than_can_be_counted_are_never_reported(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes, history: History
) -> None:
    for _ in range(18):
        passes(gate, put_at())
    for number in range(18):
        reported(history, number)
    assert not pushes.reported_ms()
    earlier(connection, "manifest_puts", 10)
    passes(gate, put_at())
    reported(history, 50)
    assert not pushes.reported_ms(connection.now_ms() - 5_000)
    few = Gate(connection, PushLimits(youth_ms=3600_000, pushes=3))
    client: Any = connection.client
    client.delete(connection.keys.of("manifest_puts"), connection.keys.of("pushing"))
    for number in range(3):
        few.admit(put_at(f"v{number}"), ANN)
    client.delete(connection.keys.of("pushing"))
    for number in range(3):
        reported(history, 100 + number, tag=f"v{number}")
    earlier(connection, "manifest_puts", 10)
    assert not pushes.reported_ms(connection.now_ms() - 5_000)


def test_a_notification_from_before_a_put_does_not_prove_that_the_put_has_arrived(
    gate: Gate, pushes: UnfinishedPushes, history: History
) -> None:
    """The note of the PUT that it is about may be lost, or a proxy sent that PUT twice."""
    late = event(1, at_us=now_us() - 1_000_000, address="10.0.0.7:4711")
    passes(gate, put_at())
    record(history, late)
    assert not pushes.reported_ms()
    reported(history, 2)
    assert pushes.reported_ms()


def test_late_notifications_of_the_same_tag_prove_no_later_put(
    gate: Gate, connection: Connection, pushes: UnfinishedPushes, history: History
) -> None:
    """A notification removes the note of the oldest PUT before it, in whatever order they arrive."""
    late = []
    for number in range(3):
        passes(gate, put_at())
        earlier(connection, "manifest_puts", 10)
        earlier(connection, "pushing", 10)
        late.append(event(number, at_us=now_us() - 9_000_000 - (2 - number) * 10_000_000, address="10.0.0.7:4711"))
    passes(gate, put_at())
    for each in (late[2], late[0], late[1], event(9, at_us=late[2].at_us, address="10.0.0.7:4711")):
        record(history, each)
        assert not pushes.reported_ms()
    reported(history, 10)
    assert pushes.reported_ms()


def test_puts_are_held_only_if_the_holder_knows_every_put(gate: Gate, connection: Connection) -> None:
    assert gate.claim("t1", 1, "by hand")
    passes(gate, put_at())
    now_ms = connection.now_ms()
    assert not gate.hold_manifests("t1")
    assert not gate.hold_manifests("t1", now_ms - 60_000)
    # Its clock was set back: a PUT that passes later has an earlier time.
    assert not gate.hold_manifests("t1", now_ms + 3_600_000)
    while connection.now_ms() <= now_ms:
        pass
    assert gate.hold_manifests("t1", now_ms + 1)
    assert not passes(gate, put_at())
