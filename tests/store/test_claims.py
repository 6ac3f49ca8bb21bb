"""Claims of digests at the gate, and the journal of unlinked blobs in Redis."""

from dataclasses import replace

import pytest

from service.domain.collection.digests import packed
from service.domain.collection.gate import Kind, WriteRequest
from service.domain.collection.online import Moment, UnlinkedBlob
from service.store.claims import Claims, Purpose
from service.store.connection import Connection
from service.store.gate import Gate
from tests.support.gate import X, earlier

SHOP, ANN = "shop/api", "10.0.0.7/0"
OTHER = "sha256:" + "b" * 64
BLOB = UnlinkedBlob(packed(X), 0)
AT = Moment(1, 2)
ASKS, BEGINS = WriteRequest("asks", SHOP, X), WriteRequest("begins", SHOP, X)
UPLOADS = WriteRequest("uploads", SHOP, X)
MANIFEST = WriteRequest("manifest", SHOP, by_tag=True)


@pytest.fixture
def gate(connection: Connection) -> Gate:
    gate = Gate(connection)
    gate.check_in("web:1")
    long_ago(connection)
    return gate


@pytest.fixture
def claims(connection: Connection) -> Claims:
    return Claims(connection, 3_600_000)


def long_ago(connection: Connection) -> None:
    """The gate has noted digests for longer than gc.youth."""
    connection.client.set(connection.keys.of("gc:noting"), connection.now_ms() - 3_700_000)


def claimed(gate: Gate, claims: Claims, purpose: Purpose = "unlink") -> bool:
    """Claim the blob. True if it is granted, and not refused because a client uses it."""
    assert gate.claim("t1", 1, "x")
    refused = claims.claim("t1", [BLOB.digest], purpose, gate._connection.now_us())
    assert refused is not None
    return not refused


def passes(gate: Gate, write: WriteRequest = ASKS) -> bool:
    return gate.admit(write, ANN).passes


def begin(claims: Claims, at: Moment | None = None) -> None:
    claims.begin([BLOB])
    if at:
        claims.unlinked([BLOB._replace(at=at)])


@pytest.mark.parametrize("write", [ASKS, BEGINS, UPLOADS])
def test_a_request_waits_only_while_its_digest_is_claimed(gate: Gate, claims: Claims, write: WriteRequest) -> None:
    begin(claims)
    assert claimed(gate, claims)
    assert not passes(gate, write)
    assert passes(gate, replace(write, digest=OTHER))
    assert passes(gate, MANIFEST)
    assert passes(gate, WriteRequest("deletes", SHOP))
    claims.release([BLOB.digest])
    assert passes(gate, write)


def test_opening_the_gate_releases_all_claims(gate: Gate, claims: Claims) -> None:
    begin(claims)
    assert claimed(gate, claims)
    assert gate.open("t1")
    assert gate.claim("t2", 2, "x")
    assert passes(gate)


def test_a_request_that_is_not_understood_waits_while_digests_are_claimed(gate: Gate) -> None:
    assert gate.claim("t1", 1, "x")
    assert not passes(gate, WriteRequest("writes"))


def test_puts_of_manifests_wait_while_manifests_are_deleted(gate: Gate) -> None:
    assert gate.claim("t1", 1, "x", with_manifests=True)
    assert not passes(gate, MANIFEST)
    assert passes(gate)


def test_a_digest_named_within_the_youth_is_not_unlinked(gate: Gate, claims: Claims, connection: Connection) -> None:
    begin(claims)
    assert passes(gate)
    assert not claimed(gate, claims)
    earlier(connection, "gc:noted", 3_700)
    assert claimed(gate, claims)


def test_a_digest_named_long_ago_is_forgotten(gate: Gate, connection: Connection) -> None:
    assert passes(gate)
    earlier(connection, "gc:noted", 2 * 3_600 + 1)
    assert passes(gate, replace(ASKS, digest=OTHER))
    assert connection.client.zcard(connection.keys.of("gc:noted")) == 1


def test_a_digest_named_since_the_inventory_began_is_not_unlinked(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    """However long the inventory takes: the manifest may have come after it."""
    begin(claims)
    began_us = connection.now_us() - 3_500_000_000
    assert passes(gate)
    earlier(connection, "gc:noted", 3_500 + 3_500)
    connection.client.set(connection.keys.of("gc:noting"), 0)
    assert gate.claim("t1", 1, "x")
    assert claims.claim("t1", [BLOB.digest], "unlink", began_us) == frozenset({BLOB.digest})
    earlier(connection, "gc:noted", 200)
    assert claims.claim("t1", [BLOB.digest], "unlink", began_us) == frozenset()


def test_nothing_is_unlinked_by_an_inventory_that_is_older_than_the_youth(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    """Notes are not kept for longer."""
    begin(claims)
    connection.client.set(connection.keys.of("gc:noting"), 0)
    assert gate.claim("t1", 1, "x")
    assert claims.claim("t1", [BLOB.digest], "unlink", connection.now_us() - 3_700_000_000) == frozenset({BLOB.digest})


def test_a_request_that_waits_is_noted(gate: Gate, claims: Claims) -> None:
    begin(claims)
    assert claimed(gate, claims)
    assert not passes(gate)
    claims.release([BLOB.digest])
    assert not claimed(gate, claims)


def test_a_request_that_passed_while_redis_was_away_is_noted_later(gate: Gate, claims: Claims) -> None:
    begin(claims, AT)
    gate.admit(ASKS, ANN, passed=True)
    assert not claimed(gate, claims, "delete")


def test_a_digest_named_since_it_was_unlinked_is_not_deleted(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    begin(claims, AT)
    assert passes(gate)
    # However long ago that was.
    earlier(connection, "gc:noted", 1_000_000)
    connection.client.delete(connection.keys.of("gc:noted"))
    assert not claimed(gate, claims, "delete")
    assert claims.journal() == {BLOB.digest: BLOB._replace(at=AT, is_used=True)}


def test_only_what_is_unlinked_may_be_deleted(gate: Gate, claims: Claims) -> None:
    assert not claimed(gate, claims, "delete")
    begin(claims)
    assert not claimed(gate, claims, "delete")
    claims.unlinked([BLOB._replace(at=AT)])
    assert claimed(gate, claims, "delete")


def test_nothing_is_unlinked_before_requests_were_noted_for_the_youth(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    """Redis that lost the notes of the last hour knows of no use."""
    begin(claims)
    for since_ms in (None, connection.now_ms() - 3_500_000):
        connection.client.delete(connection.keys.of("gc:noting"))
        if since_ms:
            connection.client.set(connection.keys.of("gc:noting"), since_ms)
        assert not claimed(gate, claims)
    gate.check_in("web:1")
    assert not claimed(gate, claims)


def test_nothing_is_unlinked_while_not_all_requests_could_be_noted(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    begin(claims)
    connection.client.zadd(connection.keys.of("gc:noted"), {"*": connection.now_ms()})
    assert not claimed(gate, claims)


def test_a_use_after_the_links_were_deleted_outlives_the_record_of_their_time(gate: Gate, claims: Claims) -> None:
    begin(claims)
    assert passes(gate)
    claims.unlinked([BLOB._replace(at=AT)])
    assert claims.journal()[BLOB.digest].is_used


def test_a_holder_without_the_gate_claims_nothing(gate: Gate, claims: Claims) -> None:
    """A worker that was stopped for a while must not continue to delete."""
    begin(claims)
    assert claims.claim("t1", [BLOB.digest], "unlink", 0) is None
    assert gate.claim("t2", 1, "x")
    assert claims.claim("t1", [BLOB.digest], "unlink", 0) is None
    assert not gate.claim("t1", 1, "x")
    assert passes(gate)


def test_a_claiming_gate_that_redis_lost_is_closed(gate: Gate, connection: Connection) -> None:
    assert gate.claim("t1", 1, "x")
    gate.check_in("web:1", "t1", knows_closed=False)
    connection.client.delete(connection.keys.of("gate"))
    assert gate.check_in("web:1", "t1", knows_closed=False).state == "closed"
    assert gate.check_in("web:2", "t1", knows_closed=False).state == "closed"
    assert not passes(gate, MANIFEST)


def test_nothing_passes_between_the_loss_of_redis_and_the_next_look_of_a_gate_process(
    gate: Gate, claims: Claims, connection: Connection
) -> None:
    """The deletion under the lost claim may still be in progress."""
    memory = gate.check_in("web:1").memory
    begin(claims)
    assert claimed(gate, claims)
    gate.check_in("web:1", "t1", knows_closed=False, memory=memory)
    connection.client.delete(connection.keys.of("gate"), connection.keys.of("gc:claimed"))
    assert not gate.admit(ASKS, ANN, memory=memory, knows="t1").passes, "Redis has lost its last second"
    connection.client.delete(*connection.client.scan_iter(connection.keys.of("*")))
    assert not gate.admit(ASKS, ANN, memory=memory).passes, "Redis has lost everything"
    assert gate.check_in("web:1", "t1", knows_closed=False, memory=memory).state == "closed"
    assert gate.open("t1")
    assert passes(gate)


def test_a_claiming_gate_that_a_process_knows_stays_as_it_is(gate: Gate) -> None:
    assert gate.claim("t1", 1, "x")
    assert gate.check_in("web:1", "t1", knows_closed=False).state == "claiming"
    assert gate.unaware("t1") == ()
    gate.check_in("web:1", "t1", knows_closed=False, obeys=False)
    assert gate.unaware("t1") == ("web:1",)


def test_a_begun_journal_is_empty_and_entries_can_be_forgotten(claims: Claims) -> None:
    begin(claims)
    assert claims.journal() == {BLOB.digest: BLOB}
    claims.forget([BLOB.digest])
    assert claims.journal() == {}
    begin(claims)
    assert claims.journal_id() == ""
    claims.begin_journal("one")
    assert (claims.journal_id(), claims.journal()) == ("one", {})


@pytest.mark.parametrize("kind", ["uploads", "begins"])
def test_a_digest_that_does_not_tell_its_data_waits_and_prevents_deletions(
    gate: Gate, claims: Claims, connection: Connection, kind: Kind
) -> None:
    """The registry stores what is pushed by its sha512 under its sha256."""
    begin(claims, AT)
    began_us = connection.now_us()
    assert gate.claim("t1", 1, "x")
    assert not passes(gate, WriteRequest(kind, SHOP, f"sha512:{'a' * 128}"))
    assert claims.claim("t1", [BLOB.digest], "delete", began_us) == frozenset({BLOB.digest})
    earlier(connection, "gc:noted", 60)
    assert claims.claim("t1", [BLOB.digest], "delete", began_us) == frozenset()
