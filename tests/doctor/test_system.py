"""The web process, the workers, recorded troubles, the policy and the collections."""

import sys
from pathlib import Path

import pytest

from service.doctor import web
from service.domain.collection.run import SWEEPING, CollectionStage, Run
from service.domain.errors import StoreRefuses
from service.domain.history.lost import FOR_GOOD
from service.domain.policy.model import Policy
from service.registry.listing import HIDES
from tests.conftest import MakeWiring, keep_last
from tests.doctor.conftest import look, one, quick
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import free_port
from tests.support.record import event, record
from tests.support.storage import upload

QUEUES = ("enforce", "delete", "reconcile")


class TestWeb:
    def test_a_web_process_that_does_not_answer_at_the_given_address_is_an_error(self, make_wiring: MakeWiring) -> None:
        finding = one("web", quick(make_wiring(), web=f"http://127.0.0.1:{free_port()}"))
        assert finding.severity == "error"
        assert finding.fix == "pushprune web"

    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
    def test_a_web_process_that_may_be_in_another_container_is_not_checked(
        self, make_wiring: MakeWiring, host: str
    ) -> None:
        """All containers may share a file with `listen`; the check of notifications proves that one records events."""
        tokens = {name: name * 4 for name in ("notify", "read", "admin")}
        finding = one("web", quick(make_wiring(listen=f"{host}:{free_port()}", tokens=tokens)))
        assert (finding.severity, finding.message.partition(":")[0]) == ("warning", "not checked")
        assert "--web http://HOST:PORT" in finding.fix

    def test_a_token_that_this_process_does_not_have_is_no_wrong_token(
        self, make_wiring: MakeWiring, site: FakeRegistry
    ) -> None:
        site.fail_next("GET", "/readyz", status=200)
        site.fail_next("POST", "/notifications", status=401)
        finding = one("web", quick(make_wiring(), web=site.url))
        assert finding.severity == "warning"
        assert "tokens.notify is not set for this process" in finding.message

    def test_something_else_that_answers_is_found(self, make_wiring: MakeWiring, site: FakeRegistry) -> None:
        finding = one("web", quick(make_wiring(), web=site.url))
        assert finding.severity == "error"
        assert "is not pushprune" in finding.message

    def test_a_web_process_without_redis_is_found(self, make_wiring: MakeWiring, site: FakeRegistry) -> None:
        site.fail_next("GET", "/readyz", status=503)
        finding = one("web", quick(make_wiring(), web=site.url))
        assert finding.severity == "error"
        assert "cannot reach Redis" in finding.message

    def test_a_web_process_that_does_not_say_why_has_the_reason_that_redis_gives_the_doctor(
        self, make_wiring: MakeWiring, site: FakeRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a read token, /readyz says no reason, and an empty notification needs no memory."""

        def refuse(_: object) -> None:
            raise StoreRefuses("Redis refuses: used memory > 'maxmemory'")

        monkeypatch.setattr(web, "check_recording", refuse)
        site.fail_next("GET", "/readyz", status=503, body=b'{"status": "not ready"}')
        site.fail_next("POST", "/notifications", status=200)
        finding = one("web", quick(make_wiring(), web=site.url))
        assert "Redis refuses: used memory > 'maxmemory'" in finding.message
        assert "CONFIG SET maxmemory" in finding.fix

    def test_a_web_process_whose_redis_refuses_writes_is_recognized(
        self, make_wiring: MakeWiring, site: FakeRegistry
    ) -> None:
        """A full disk of Redis: it answers whatever only reads."""
        site.fail_next("GET", "/readyz", status=200)
        body = b'{"detail": "Redis refuses: MISCONF Errors writing to the AOF file: it cannot write to its disk"}'
        site.fail_next("POST", "/notifications", status=503, body=body)
        finding = one("web", quick(make_wiring(), web=site.url))
        assert "cannot record events, which wait at the registry: Redis refuses: MISCONF" in finding.message
        assert finding.fix == "df -h   # on the machine of Redis: make room"

    def test_a_web_process_with_another_token_is_found(self, make_wiring: MakeWiring, site: FakeRegistry) -> None:
        site.fail_next("GET", "/readyz", status=200)
        site.fail_next("POST", "/notifications", status=401)
        finding = one("web", quick(make_wiring(tokens={"notify": "s3cret"}), web=site.url))
        assert finding.severity == "error"
        assert "it was started with another" in finding.message
        assert [request.headers.get("Authorization") for request in site.requests][-1] == "Bearer s3cret"
        assert "s3cret" not in repr(finding)

    def test_no_proxy_of_the_environment_is_asked(
        self, make_wiring: MakeWiring, site: FakeRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("no_proxy", "")
        assert "is not pushprune" in one("web", quick(make_wiring(), web=site.url)).message


class TestWorkers:
    def test_none_is_an_error(self, make_wiring: MakeWiring) -> None:
        finding = one("workers", quick(make_wiring()))
        assert finding.severity == "error"
        assert finding.fix.startswith("pushprune worker --queues enforce,")

    def test_a_queue_without_a_worker_is_an_error_with_the_line_that_starts_one(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        wiring.store.outbox.sign_of_life("w1", ("enforce", "reconcile"))
        finding = one("workers", quick(wiring))
        assert (finding.severity, "no worker for queue delete" in finding.message) == ("error", True)
        assert finding.fix.startswith("pushprune worker --queues delete ")

    def test_a_worker_that_gives_signs_of_life_is_fine(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        wiring.store.outbox.sign_of_life("w1", QUEUES)
        assert one("workers", quick(wiring)).severity == "ok"

    @pytest.mark.parametrize(("late_s", "severity"), [(30, "ok"), (120, "warning"), (1200, "error")])
    def test_work_that_waits_too_long_is_found(self, make_wiring: MakeWiring, late_s: int, severity: str) -> None:
        wiring = make_wiring()
        wiring.store.outbox.sign_of_life("w1", QUEUES)
        due = wiring.store.connection.keys.of("due")
        wiring.store.connection.client.zadd(due, {"shop/api": wiring.store.connection.now_ms() - late_s * 1000})
        finding = one("workers", quick(wiring))
        assert finding.severity == severity
        assert finding.fix.startswith("pushprune worker" if severity != "ok" else "")

    def test_deletions_that_wait_for_a_collection_are_not_late(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        wiring.store.outbox.sign_of_life("w1", QUEUES)
        client, doomed = wiring.store.connection.client, wiring.store.connection.keys.of("doomed")
        client.zadd(doomed, {"shop/api": wiring.store.connection.now_ms() - 1_200_000})
        assert one("workers", quick(wiring)).severity == "error"
        wiring.store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "scheduled"))
        assert one("workers", quick(wiring)).severity == "ok"


class TestTroubles:
    def test_no_trouble_is_fine(self, make_wiring: MakeWiring) -> None:
        assert one("troubles", quick(make_wiring())).severity == "ok"

    @pytest.mark.parametrize(
        ("about", "message", "fix"),
        [
            ("doomed shop/api", "set `storage: delete: enabled: true` there", "storage: {delete: {enabled: true}}"),
            ("doomed shop/api", "the registry says no", "pushprune prune shop/api"),
            ("notifications", "one was refused", "headers: {Authorization:"),
            ("garbage", "exit code 1", "pushprune gc --now"),
            ("slow answers", "3 of 3 took more than 2.5 s", "curl -s http://PUSHPRUNE/metrics"),
            ("lost shop/api:v1", f"{FOR_GOOD} (layers are missing)", "docker push REGISTRY/shop/api:v1"),
            ("lost shop/api:v1", "not restored yet: the registry says no", "pushprune restore shop/api:v1"),
            ("redis clock", "was set back", "timedatectl set-ntp true   # on the machine of Redis"),
            ("still listed shop/api", "1 deleted tag", "delete: {via: storage}   # with storage.url"),
            ("broken shop/api:v1", "a blob is missing: push it again", "docker push REGISTRY/shop/api:v1"),
            ("listing", HIDES, "image: registry:2.8.3"),
            ("listing", "the test failed: 401", "registry: {username: NAME"),
            ("reconcile", "1 repository could not be compared", "pushprune reconcile   # once"),
            ("stale cache", "remove storage.cache", "storage: {cache: {}}"),
            ("read-only", "the registry still is", "storage: {maintenance: {readonly: {enabled: false}}}"),
            ("served", "a cache remembers its answers", "delete: {via: api}"),
            ("gate", "run `pushprune gc --open`", "pushprune doctor   # once that is fixed"),
        ],
    )
    def test_each_trouble_has_a_line_that_fixes_it(
        self, make_wiring: MakeWiring, about: str, message: str, fix: str
    ) -> None:
        wiring = make_wiring()
        wiring.store.outbox.note_trouble(about, message)
        finding = one("troubles", quick(wiring))
        assert (finding.severity, finding.message) == ("error", f"{about}: {message}")
        assert finding.fix.startswith(fix)

    def test_events_that_could_not_be_understood_are_found_for_a_day(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        key, client = wiring.store.connection.keys.of("rejected"), wiring.store.connection.client
        before_ms = wiring.store.connection.now_ms() - 86_400_000 - 1000
        client.xadd(key, {"reason": "old", "excerpt": ""}, id=f"{before_ms}-0")
        assert one("troubles", quick(wiring)).severity == "ok"
        client.xadd(key, {"reason": "timestamp: it is not of this time", "excerpt": "{}"})
        finding = one("troubles", quick(wiring))
        assert finding.severity == "warning"
        assert "timestamp: it is not of this time" in finding.message
        assert finding.fix.startswith(f"redis-cli XREVRANGE {key} + -")


class TestPolicy:
    def test_a_policy_in_force_is_fine(self, make_wiring: MakeWiring) -> None:
        assert one("policy", quick(make_wiring())).message == "a policy of 1 rule is in force"

    def test_none_is_reported(self, make_wiring: MakeWiring) -> None:
        finding = one("policy", quick(make_wiring(policy=Policy())))
        assert finding.severity == "warning"
        assert finding.fix.startswith("policy: {protect: [latest]")

    def test_a_dry_run_is_reported(self, make_wiring: MakeWiring) -> None:
        finding = one("policy", quick(make_wiring(policy=keep_last(2, dry_run=True))))
        assert (finding.severity, finding.fix) == ("warning", "policy: {dry_run: false}")

    def test_plans_that_wait_are_reported(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        record(wiring.store.history, event(1, tag="v1"))
        held = '{"at_us": 1, "reason": "too many", "policy": "p", "digests": [], "plan": "x"}'
        connection = wiring.store.connection
        connection.client.set(connection.keys.of("hold", "shop/api"), held)
        connection.client.sadd(connection.keys.of("held"), "shop/api")
        _, finding = look("policy", quick(wiring))
        assert finding.severity == "warning"
        assert "shop/api" in finding.message
        assert finding.fix.startswith("pushprune prune --held")

    def test_workers_that_have_read_another_policy_are_named(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        digest = wiring.policies.digest
        assert wiring.store.policy_changes.begin(digest, "") is None
        for worker, policy in (("worker@a", digest), ("worker@b", "another")):
            wiring.store.policy_changes.note_read(f"{worker} 1", policy)
        _, finding = look("policy", quick(wiring))
        assert finding.severity == "warning"
        assert "worker@b can neither plan nor delete" in finding.message
        assert finding.fix.startswith("pushprune config show")

    def test_a_policy_of_the_doctor_itself_that_is_not_in_force_is_reported(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        assert wiring.store.policy_changes.begin("in-force", "") is None
        wiring.store.policy_changes.note_read("worker@a 1", "in-force")
        _, finding = look("policy", quick(wiring))
        assert (finding.severity, "this process has read another policy" in finding.message) == ("warning", True)


class TestGarbage:
    def test_no_command_is_reported(self, make_wiring: MakeWiring) -> None:
        finding = one("garbage", quick(make_wiring()))
        assert finding.severity == "warning"
        assert finding.fix.startswith("gc: {command:")

    def test_a_command_that_is_there_and_starts_by_itself_is_fine(self, make_wiring: MakeWiring) -> None:
        gc = {"command": [sys.executable, "garbage-collect"], "after_deletes": 5}
        assert one("garbage", quick(make_wiring(gc=gc))).severity == "ok"

    def test_a_command_that_is_nowhere_is_an_error(self, make_wiring: MakeWiring) -> None:
        gc = {"command": "no-such-registry garbage-collect c.yml", "schedule": "0 3 * * *"}
        wiring = make_wiring(gc=gc)
        finding = one("garbage", quick(wiring))
        assert finding.severity == "error"
        assert finding.fix.startswith("which no-such-registry")
        wiring.store.collection_runs.record(Run(1, 2, "done", "by hand"))
        assert one("garbage", quick(wiring)).severity == "ok", "the worker that collects is elsewhere"

    def test_a_collection_that_nothing_starts_is_reported(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring(gc={"command": [sys.executable, "garbage-collect"]})
        _, finding = look("garbage", quick(wiring))
        assert (finding.severity, finding.fix) == ("warning", 'gc: {schedule: "0 3 * * *"}')

    def test_online_collections_are_recommended_where_the_storage_and_the_gate_are_there(
        self, make_wiring: MakeWiring, tmp_path: Path
    ) -> None:
        gc = {"command": [sys.executable, "garbage-collect"], "after_deletes": 5, "gate": "proxy"}
        registry = {"debug_url": "http://127.0.0.1:9"}
        wiring = make_wiring(gc=gc, registry=registry, storage={"path": str(tmp_path)})
        _, finding = look("garbage", quick(wiring))
        assert (finding.severity, finding.message[:24]) == ("ok", "gc: {collector: online} ")
        gc, registry = {"collector": "online", "gate": "proxy"}, {"url": "http://127.0.0.1:9", **registry}
        wiring = make_wiring(gc=gc, registry=registry, storage={"path": str(tmp_path)})
        *_, finding = look("garbage", quick(wiring))
        assert (finding.severity, finding.fix) == ("warning", 'gc: {schedule: "0 3 * * *"}')

    def test_a_last_collection_that_failed_is_an_error(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring(gc={"command": [sys.executable, "garbage-collect"], "after_deletes": 5})
        wiring.store.collection_runs.record(Run(1, 2, "failed", "by hand", 1, message="exit code 1"))
        finding = one("garbage", quick(wiring))
        assert finding.severity == "error"
        assert "the last collection failed: exit code 1" in finding.message

    def test_a_trash_without_end_is_reported(self, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> None:
        wiring = make_wiring(gc={"command": [sys.executable, "garbage-collect"], "after_deletes": 5})
        monkeypatch.setattr("service.doctor.collection._MANY", 1)
        wiring.store.connection.client.zadd(wiring.store.connection.keys.of("trashed"), {"a b": 1, "a c": 2})
        _, finding = look("garbage", quick(wiring))
        assert (finding.severity, finding.fix) == ("warning", "history: {trash: 7d}")


class TestStorage:
    def test_the_check_is_skipped_if_the_settings_name_no_storage(self, make_wiring: MakeWiring) -> None:
        finding = one("storage", quick(make_wiring()))
        assert finding.severity == "skipped"
        assert finding.message == "storage.path and storage.url are not set for this process"

    def test_a_place_that_is_none_is_reported(self, make_wiring: MakeWiring, tmp_path: Path) -> None:
        finding = one("storage", quick(make_wiring(storage={"path": str(tmp_path / "nowhere")})))
        assert finding.severity == "warning"
        assert finding.fix.startswith("storage: {path:")

    def test_unfinished_uploads_are_found(self, make_wiring: MakeWiring, tmp_path: Path) -> None:
        upload(tmp_path, "shop/api", "a", 0, 2_000_000)
        finding = one("storage", quick(make_wiring(storage={"path": str(tmp_path)})))
        assert finding.severity == "warning"
        assert "1 uploads abandoned for more than a day hold 2.0 MB" in finding.message
        assert finding.fix.startswith("storage: {maintenance: {uploadpurging:")

    @pytest.mark.parametrize(("free", "severity"), [(1, "error"), (5, "warning"), (50, "ok")])
    def test_a_full_disk_is_found(
        self, make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, severity: str
    ) -> None:
        disk = type("Disk", (), {"total": 100, "free": free})
        monkeypatch.setattr("service.doctor.storage.shutil.disk_usage", lambda path: disk)
        finding = one("storage", quick(make_wiring(storage={"path": str(tmp_path)})))
        assert (finding.severity, finding.fix) == (severity, "pushprune gc --now" if severity != "ok" else "")
