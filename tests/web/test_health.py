"""/livez says that the process answers; /readyz that events can be recorded, and everything that is wrong."""

from pathlib import Path

import fakeredis
import pytest
import redis

from service.domain.collection.run import SWEEPING, CollectionStage
from service.domain.retention.plan import Doomed, Plan
from service.prune import approvals
from service.store.connection import Connection
from service.store.outbox import Queue
from service.store.policy_changes import UNREADABLE
from service.store.snapshot import Snapshot
from tests.support.edge import Edge, ServeEdge
from tests.support.gate import earlier
from tests.support.health import replace_file
from tests.support.makers import envelope, event

QUEUES = ("enforce", "delete", "reconcile")
KEEP_LAST_10 = "rules: [{keep: {last: 10}}]\n"


def ready(edge: Edge) -> dict[str, object]:
    response = edge.http.get("/readyz")
    assert response.status_code == 200
    assert isinstance(response.json, dict)
    return response.json


def test_an_idle_service_is_ready(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("worker-1@host", QUEUES)
    assert ready(edge) == {
        "status": "ready",
        "workers": 1,
        "queues": {"enforce": 1, "delete": 1, "reconcile": 1},
        "registry": "unknown",
        "policy": "none: nothing is deleted",
        "backlog": {"due": 0, "doomed": 0, "oldest_s": 0.0},
        "holds": 0,
        "healing": 0,
        "collection": None,
        "troubles": [],
    }


def test_readiness_says_what_a_collection_is_at(edge: Edge) -> None:
    edge.store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "scheduled"))
    assert ready(edge)["collection"] == "deleting blobs"
    edge.store.collections.clear_progress()
    assert ready(edge)["collection"] is None


def test_without_a_worker_the_service_listens_and_says_what_to_start(edge: Edge) -> None:
    shown = ready(edge)
    assert (shown["workers"], shown["status"]) == (0, "degraded")
    assert "no worker is running (none seen for 10 s), so nothing is planned or deleted; start one" in str(
        shown["troubles"]
    )


def test_a_queue_without_a_worker_is_named_though_other_workers_live(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("garbage@host", ("garbage",))
    edge.store.outbox.sign_of_life("worker@host", ("delete", "reconcile"))
    shown = ready(edge)
    assert (shown["status"], shown["workers"]) == ("degraded", 2)
    assert shown["queues"] == {"enforce": 0, "delete": 1, "reconcile": 1}
    sentence = "workers: no worker for queue enforce, so no repository is planned; start one: pushprune worker"
    assert isinstance(shown["troubles"], list)
    assert [trouble[: len(sentence)] for trouble in shown["troubles"]] == [sentence]
    edge.store.outbox.sign_of_life("worker@host", ("enforce",), "2-b")
    assert ready(edge)["status"] == "ready"


def test_a_queue_for_collections_needs_a_worker_only_where_there_is_a_collector(serve: ServeEdge) -> None:
    edge = serve(gc={"command": ["registry", "garbage-collect"]})
    edge.store.outbox.sign_of_life("worker@host", QUEUES)
    assert "no worker for queue garbage, so no garbage is collected" in str(ready(edge)["troubles"])


def test_without_a_gate_process_every_push_fails_and_health_says_so(serve: ServeEdge) -> None:
    edge = serve(gc={"gate": "proxy"})
    edge.store.outbox.sign_of_life("worker@host", QUEUES)
    assert "gate process: no gate process answers (none seen for 10 s), so the proxy refuses" in str(ready(edge))
    edge.store.gate.check_in("gate:1")
    assert ready(edge)["troubles"] == []
    # It was killed: it did not check out.
    earlier(edge.store.connection, "gates", 11)
    assert "so the proxy refuses every push; start one: pushprune gate" in str(ready(edge)["troubles"])
    assert "pushprune_gate_processes 0.0" in edge.http.get("/metrics").text


def test_two_workers_of_one_name_are_two(edge: Edge) -> None:
    for process in ("1-a", "2-b", "2-b"):
        edge.store.outbox.sign_of_life("celery@host", QUEUES, process)
    assert ready(edge)["queues"] == {"enforce": 2, "delete": 2, "reconcile": 2}


@pytest.mark.parametrize("queue", ["due", "doomed", "healing"])
def test_work_that_is_sent_again_and_again_is_late(edge: Edge, queue: Queue) -> None:
    edge.store.outbox.sign_of_life("worker@host", QUEUES)
    now_ms = edge.store.connection.now_ms()
    edge.redis.zadd(f"pushprune:{queue}", {"shop/api": now_ms - 61_000})
    for _ in range(3):
        edge.store.outbox.overdue(queue)
        shown = ready(edge)
        assert shown["status"] == "degraded"
        assert f"late {queue}: a repository has been waiting for 6" in str(shown["troubles"])
    edge.store.outbox.succeeded("doomed" if queue == "doomed" else "due", "shop/api")
    assert (ready(edge)["status"], ready(edge)["troubles"]) == ("ready", [])


def test_work_that_waits_for_a_collection_is_no_trouble(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("worker@host", QUEUES)
    edge.redis.zadd("pushprune:doomed", {"shop/api": edge.store.connection.now_ms() - 61_000})
    edge.store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "scheduled"))
    assert ready(edge)["troubles"] == []


def test_a_registry_that_is_away_is_a_trouble_and_no_reason_to_refuse_notifications(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    edge.store.outbox.sign_of_life("worker@host", QUEUES)
    assert (ready(edge)["status"], ready(edge)["registry"]) == ("ready", "answers")
    edge.store.outbox.note_trouble("registry", "the registry at http://127.0.0.1:1 cannot be reached")
    shown = ready(edge)
    assert (shown["status"], shown["registry"]) == ("degraded", "does not answer")
    assert shown["troubles"] == ["registry: the registry at http://127.0.0.1:1 cannot be reached"]


def test_without_a_worker_nothing_is_reported_of_the_registry(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    edge.store.outbox.note_trouble("registry", "it could not be reached before the last worker ended")
    shown = ready(edge)
    assert shown["registry"] == "unknown"
    assert "before the last worker" not in str(shown["troubles"])


def test_a_plan_that_waits_for_approval_is_a_trouble_until_it_is_decided(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("worker-1@host", QUEUES)
    history, held = edge.store.history, Plan(doomed=(Doomed("sha256:a", ()),), hold="it would delete 30 of 40 tags")
    edge.store.outbox.mark_due(["shop/api"])
    snapshot = Snapshot(repository="shop/api", generation=history.generation("shop/api"), epoch="", compared=True)
    assert history.commit(snapshot, held, "held")
    assert ready(edge)["status"] == "degraded"
    assert ready(edge)["troubles"] == [
        "holds: 1 plan waits for approval, in shop/api, and deletes nothing until then: see pushprune prune --held, "
        "then run pushprune prune --approve shop/api"
    ]
    (hold,) = edge.store.approvals.holds(["shop/api"])
    approvals.reject(edge.store, "shop/api", hold.plan, by="alice")
    assert ready(edge)["troubles"] == []


@pytest.mark.parametrize(("ahead_s", "way"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_of_redis_that_is_wrong_is_a_trouble(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, ahead_s: int, way: str
) -> None:
    now_ms = edge.store.connection.now_ms
    monkeypatch.setattr(Connection, "now_ms", lambda _: now_ms() + ahead_s * 1000)
    assert f"clock: the clock of Redis is 3600 s {way} the clock of this machine" in str(ready(edge)["troubles"])


def test_readiness_shows_workers_backlog_and_trouble(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("worker-1@host", QUEUES)
    edge.store.outbox.note_trouble("due shop/api", "set storage.delete.enabled")
    edge.http.post("/notifications", data=envelope(event(), event(repository="shop/web")))
    shown = ready(edge)
    assert (shown["workers"], shown["troubles"]) == (1, ["due shop/api: set storage.delete.enabled"])
    assert shown["backlog"] == {"due": 2, "doomed": 0, "oldest_s": 0.0}


def test_work_that_waits_for_long_is_shown(edge: Edge) -> None:
    edge.redis.zadd("pushprune:doomed", {"shop/api": 0})
    backlog = ready(edge)["backlog"]
    assert isinstance(backlog, dict)
    assert backlog["doomed"] == 1
    assert backlog["oldest_s"] > 1_000_000_000


def test_a_worker_that_fell_silent_does_not_count(edge: Edge) -> None:
    edge.redis.zadd("pushprune:workers", {"worker-1@host 1-a enforce": 0})
    assert ready(edge)["workers"] == 0


def test_an_invalid_policy_is_reported_while_the_previous_one_is_in_force(serve: ServeEdge, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(KEEP_LAST_10)
    edge = serve(policy=file)
    assert ready(edge)["policy"] == "in force"

    replace_file(file, "rules: [{keep: {last: none}}]\n")
    complaint = ready(edge)["policy"]
    assert isinstance(complaint, str)
    assert "policy.yaml" in complaint
    assert "last" in complaint
    in_force = edge.wiring.policies.current()
    assert in_force is not None
    assert in_force.rules

    replace_file(file, KEEP_LAST_10)
    assert ready(edge)["policy"] == "in force"


def test_a_policy_that_was_invalid_at_the_start_is_a_trouble_until_it_is_valid(
    serve: ServeEdge, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("ruls: []")
    edge = serve(policy=file)
    shown = ready(edge)
    assert str(shown["policy"]).endswith("did you mean rules?; no policy is in force, nothing is deleted")
    assert f"policy: {shown['policy']}" in str(shown["troubles"])
    assert edge.store.policy_changes.begin("digest", '{"rules": [{"keep": {"last": 3}}]}') is None
    assert str(ready(edge)["policy"]).endswith("; the previous policy stays in force")
    replace_file(file, KEEP_LAST_10)
    shown = ready(edge)
    assert (shown["policy"], "policy" in str(shown["troubles"])) == ("in force", False)


def test_a_policy_that_vanished_is_shown(serve: ServeEdge, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(KEEP_LAST_10)
    edge = serve(policy=file)
    file.unlink()
    assert "policy.yaml" in str(ready(edge)["policy"])


def test_without_redis_it_is_not_ready_and_says_why(serve: ServeEdge, no_redis: redis.Redis) -> None:
    response = serve(client=no_redis).http.get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["status"] == "not ready"
    assert response.json["redis"].startswith("Redis does not answer (")


def test_the_web_process_is_ready_again_once_redis_answers(edge: Edge, redis_server: fakeredis.FakeServer) -> None:
    redis_server.connected = False
    assert edge.http.get("/readyz").status_code == 503
    redis_server.connected = True
    assert ready(edge)["workers"] == 0


def test_the_web_process_is_live_with_and_without_redis(edge: Edge, serve: ServeEdge, no_redis: redis.Redis) -> None:
    for item in (edge, serve(client=no_redis)):
        response = item.http.get("/livez")
        assert (response.status_code, response.json) == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_health_check_needs_no_token_and_may_end_in_a_slash(serve: ServeEdge, path: str) -> None:
    edge = serve(tokens={"notify": "notify-s3cret", "admin": "admin-s3cret"})
    for asked in (path, f"{path}/"):
        response = edge.http.get(asked)
        assert response.status_code == 200
        assert "s3cret" not in response.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_nothing_can_be_posted_to_a_health_check(edge: Edge, path: str) -> None:
    response = edge.http.post(path)
    assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    assert "GET" in response.headers["Allow"].split(", ")


TOKENS = {"notify": "n0tify-0123456789", "read": "r3ad-0123456789ab", "admin": "adm1n-0123456789a"}


@pytest.mark.parametrize(("token", "sees"), [("read", True), ("admin", True), ("notify", False), ("wrong", False)])
def test_with_tokens_only_a_user_with_read_rights_sees_more_than_the_status(
    serve: ServeEdge, token: str, sees: bool
) -> None:
    http = serve(tokens=TOKENS).http
    shown = http.get("/readyz", headers={"Authorization": f"Bearer {TOKENS.get(token)}"})
    assert shown.status_code == 200
    assert ("troubles" in (shown.json or {})) is sees
    assert http.get("/readyz").json == {"status": "degraded"}


def test_without_redis_a_stranger_learns_no_address(serve: ServeEdge, no_redis: redis.Redis) -> None:
    shown = serve(client=no_redis, tokens=TOKENS).http.get("/readyz")
    assert (shown.status_code, shown.json) == (503, {"status": "not ready"})


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "rebind.evil.example"}])
def test_without_tokens_a_page_from_elsewhere_sees_the_status_alone(edge: Edge, headers: dict[str, str]) -> None:
    assert edge.http.get("/readyz", headers=headers).json == {"status": "degraded"}


def test_workers_that_have_read_another_policy_than_the_one_in_force_are_named(edge: Edge) -> None:
    changes, digest = edge.store.policy_changes, edge.wiring.policies.digest
    assert changes.begin(digest, "") is None
    changes.note_read("worker@a 1", digest)
    assert "policies: " not in str(ready(edge)["troubles"])
    changes.note_read("worker@b 1", "another")
    changes.note_read("worker@c 1", "another")
    changes.note_read("worker@d 1", UNREADABLE)
    for sentence in (
        "policies: worker@d cannot read the policy file, as the log there says: a change of it has no effect there; "
        "give all workers and web processes the same policy",
        "policies: the workers have read different policies: the policy in force stays; with another one, "
        "worker@b, worker@c can neither plan nor delete "
        "(a worker that was killed still counts for a minute); give all workers and web processes the same policy",
    ):
        assert sentence in str(ready(edge)["troubles"])


def test_a_web_process_that_has_read_another_policy_than_the_one_in_force_says_so(edge: Edge) -> None:
    changes, digest = edge.store.policy_changes, edge.wiring.policies.digest
    assert changes.begin("in force", "") is None
    # All have read the changed policy, which is about to be in force.
    changes.note_read("worker@a 1", digest)
    assert "policies: " not in str(ready(edge)["troubles"])
    changes.note_read("worker@a 1", "in force")
    assert (
        "policies: this process has read another policy than the one in force: its pages and previews are not what the "
        "workers delete; give all workers and web processes the same policy"
    ) in str(ready(edge)["troubles"])
