"""The registry: reached, let in, deleting, without a cache, with the right time."""

from pathlib import Path
from typing import Any

import pytest

from service.doctor import examine
from service.doctor.case import Case
from service.domain.errors import RegistryUnavailable
from service.registry.probe import Dated, Probe
from service.settings import load_settings
from service.wiring import wire
from tests.conftest import MakeWiring
from tests.doctor.conftest import one, quick
from tests.fakes.certificates import make_certificates
from tests.fakes.login import Login
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_v1 import FakeRegistryV1
from tests.fakes.valkey import Valkey, free_port


def test_a_registry_that_answers_is_fine(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    finding = one("registry", quick(make_wiring(site.url)))
    assert (finding.severity, finding.fix) == ("ok", "")


def test_no_address_is_found(make_wiring: MakeWiring) -> None:
    finding = one("registry", quick(make_wiring()))
    assert (finding.severity, finding.fix) == ("error", 'registry: {url: "http://registry:5000"}')


def test_an_address_without_a_server_is_reported(make_wiring: MakeWiring) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    finding = one("registry", quick(make_wiring(url)))
    assert finding.severity == "error"
    assert finding.fix.startswith(f"curl -i {url}/v2/")


def test_a_registry_of_version_1_is_found(make_wiring: MakeWiring) -> None:
    with FakeRegistryV1() as old:
        finding = one("registry", quick(make_wiring(old.url)))
    assert (finding.severity, "is of version 1, which has no notifications" in finding.message) == ("error", True)
    assert finding.fix.startswith(f"pushprune tags --registry {old.url} --v1 REPO")


def test_a_registry_that_does_not_answer_is_asked_only_once(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    site.fail_next("GET", "/v2/", status=503, times=None)
    case = quick(make_wiring(site.url))
    assert one("registry", case).severity == "error"
    for name in ("deletes", "cache", "clocks", "notifications"):
        with pytest.raises(RegistryUnavailable):
            one(name, case)
    assert len(site.requests) == 1


def test_only_one_check_waits_for_a_registry_whose_storage_hangs(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    """Such a registry answers GET /v2/ at once, and no request that reads the storage."""
    site.delay("DELETE", seconds=60, times=None)
    wiring = make_wiring(site.url, registry={"url": site.url, "timeout_s": 0.2, "delete_timeout_s": 300})
    of = {finding.name: finding for finding in examine(quick(wiring))}
    for name in ("deletes", "cache", "notifications"):
        assert of[name].message == f"not checked: the registry at {site.url} did not answer within 0.2 s"
    assert "POST" not in [request.method for request in site.requests], "another check asked the registry again"


def test_a_login_that_is_missing_is_found(make_wiring: MakeWiring) -> None:
    with FakeRegistry(login=Login()) as registry:
        finding = one("registry", quick(make_wiring(registry.url)))
    assert finding.severity == "error"
    assert finding.fix.startswith("registry: {username: NAME, password_file:")


def test_a_login_that_may_not_delete_is_found(valkey: Valkey) -> None:
    login = Login(scheme="token", denied=frozenset({"delete"}))
    with FakeRegistry(login=login) as registry:
        ours = {"url": registry.url, "username": login.username, "password": login.password}
        case = quick(wire(load_settings(environ={}, redis={"url": valkey.url}, registry=ours)))
        assert one("registry", case).severity == "ok"
        finding = one("deletes", case)
    assert finding.severity == "error"
    assert "the login may not delete" in finding.message
    assert finding.fix.startswith("registry: {username: NAME")


def test_a_certificate_that_is_not_trusted_is_found(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry(tls=make_certificates(tmp_path).server) as registry:
        finding = one("registry", quick(make_wiring(registry.url)))
    assert (finding.severity, finding.fix) == ("error", "registry: {ca_file: /etc/pushprune/registry-ca.pem}")


@pytest.mark.parametrize(
    ("host", "days", "sentence"),
    [
        ("127.0.0.1", 0, "(certificate has expired): renew it there, or correct the clock here"),
        ("localhost", 2, "certificate is not valid for 'localhost'.): use a host name that it has"),
    ],
)
def test_a_certificate_that_expired_or_has_another_name_is_shown_by_a_command(
    make_wiring: MakeWiring, tmp_path: Path, host: str, days: int, sentence: str
) -> None:
    certificates = make_certificates(tmp_path, days=days)
    with FakeRegistry(tls=certificates.server) as registry:
        url = registry.url.replace("127.0.0.1", host)
        finding = one("registry", quick(make_wiring(registry={"url": url, "ca_file": certificates.authority})))
    assert finding.severity == "error"
    assert finding.message.endswith(sentence)
    port = registry.url.rpartition(":")[2]
    assert finding.fix.startswith(f"openssl s_client -connect {host}:{port} </dev/null | openssl x509 -noout -dates")


@pytest.mark.parametrize(
    ("mode", "fix"),
    [
        ({}, ""),
        ({"delete_enabled": False}, "storage: {delete: {enabled: true}}"),
        ({"readonly": True}, "storage: {maintenance: {readonly: {enabled: false}}}"),
    ],
)
def test_the_check_of_deletes_pushes_nothing(make_wiring: MakeWiring, mode: dict[str, Any], fix: str) -> None:
    with FakeRegistry(**mode) as registry:
        finding = one("deletes", quick(make_wiring(registry.url)))
        assert registry.count("pushprune/", "PUT") == 0
    assert finding.severity == ("error" if fix else "ok")
    assert finding.fix.startswith(fix)


def test_disabled_deletes_with_a_mounted_storage_name_the_other_way(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry(delete_enabled=False) as registry:
        finding = one("deletes", quick(make_wiring(registry.url, storage={"path": str(tmp_path)})))
    assert finding.message.endswith(f"; or set delete.via: storage, as its storage is at {tmp_path}")


def on_disk(make_wiring: MakeWiring, registry: FakeRegistry, path: Path) -> Case:
    return quick(make_wiring(registry.url, storage={"path": str(path)}, delete={"via": "storage"}))


def test_deletes_over_the_disk_are_proved_to_reach_the_registry(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry(delete_enabled=False, disk=tmp_path) as registry:
        assert one("deletes", on_disk(make_wiring, registry, tmp_path)).severity == "warning", "nothing stands there"
        registry.push_image("shop/api", "v1")
        assert one("deletes", on_disk(make_wiring, registry, tmp_path)).severity == "ok"
        assert registry.tags("shop/api").keys() == {"v1"}
        assert registry.count("pushprune/", "DELETE") == 0


def test_a_disk_that_is_not_the_registrys_is_found(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry(disk=tmp_path / "one") as one_registry, FakeRegistry(disk=tmp_path / "other") as other:
        for registry in (one_registry, other):
            registry.push_image("shop/api", "v1")
        finding = one("deletes", on_disk(make_wiring, one_registry, tmp_path / "other"))
    assert finding.severity == "error"
    assert "is not what the registry serves" in finding.message
    assert finding.fix.startswith("storage: {path: /var/lib/registry}")


def test_a_registry_that_does_not_list_its_repositories_is_found(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    site.fail_next("GET", "_catalog", status=403, times=None)
    finding = one("catalog", quick(make_wiring(site.url)))
    assert (finding.severity, finding.fix[:26]) == ("error", "reconcile: {repositories: ")
    named = one("catalog", quick(make_wiring(site.url, reconcile={"repositories": ["shop/api"]})))
    assert named.severity == "ok"
    site.faults.clear()
    assert one("catalog", quick(make_wiring(site.url))).message == "the registry lists its repositories"


def test_an_answer_that_does_not_show_if_there_is_a_cache_is_reported(
    make_wiring: MakeWiring, site: FakeRegistry
) -> None:
    site.fail_next("PUT", "blobs/uploads", status=400, body=b'{"errors": [{"code": "DIGEST_INVALID"}]}')
    finding = one("cache", quick(make_wiring(site.url)))
    assert finding.severity == "warning"
    assert "unknown if the registry has" in finding.message
    assert finding.fix.startswith("registry: {debug_url:")


def test_a_blob_that_is_remembered_and_not_looked_for_is_a_cache(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    site.fail_next("HEAD", "blobs/sha512:", status=200)
    finding = one("cache", quick(make_wiring(site.url)))
    assert finding.severity == "error"
    assert finding.fix.startswith("storage: {cache: {}}")


def test_nothing_is_pushed_beside_a_collection(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    wiring = make_wiring(site.url)
    case = quick(wiring)
    with wiring.store.leases.hold("collect", 10_000):
        result = [one(name, case) for name in ("cache", "notifications")]
    assert [finding.severity for finding in result] == ["warning", "warning"]
    assert all("a garbage collection is running" in finding.message for finding in result)
    assert site.count("pushprune/", "PUT") == 0


@pytest.mark.parametrize(
    ("ahead_s", "severity", "sentence"),
    [
        (0.0, "ok", "have the same time"),
        (-4.5, "ok", "have the same time"),
        (30.0, "warning", "the clock of the registry is 30 s ahead of the clock of this machine"),
        (-30.0, "warning", "the clock of the registry is 29 s behind the clock of this machine"),
        (-3600.0, "error", "the clock of the registry is 3599 s behind the clock of this machine"),
    ],
)
def test_a_registry_with_another_time_is_found(
    make_wiring: MakeWiring,
    site: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    ahead_s: float,
    severity: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(Probe, "date", lambda probe: Dated(1000 + ahead_s, 1000.0, 1000.0))
    finding = one("clocks", quick(make_wiring(site.url)))
    assert finding.severity == severity
    assert sentence in finding.message
    assert finding.fix.startswith("timedatectl set-ntp true" if severity != "ok" else "")


def test_a_slow_answer_is_no_wrong_clock(
    make_wiring: MakeWiring, site: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Probe, "date", lambda probe: Dated(1000.0, 980.0, 1003.0))
    assert one("clocks", quick(make_wiring(site.url))).severity == "ok"


def test_a_redis_with_another_time_is_found(
    make_wiring: MakeWiring, site: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring(site.url)
    monkeypatch.setattr(Case, "now_s", lambda case: wiring.store.connection.now_us() / 1e6 + 120)
    monkeypatch.setattr(Probe, "date", lambda probe: None)
    finding = one("clocks", quick(wiring))
    assert finding.severity == "error"
    assert "the clock of Redis is" in finding.message
    assert "behind the clock of this machine" in finding.message


class TestListing:
    def test_a_registry_that_lists_every_tag_is_fine(self, make_wiring: MakeWiring, site: FakeRegistry) -> None:
        assert one("listing", quick(make_wiring(site.url))).severity == "ok"

    def test_a_registry_that_hides_tags_is_found(self, make_wiring: MakeWiring) -> None:
        with FakeRegistry("3.1.1", driver="s3") as registry:
            finding = one("listing", quick(make_wiring(registry.url)))
            assert registry.tags("pushprune/doctor") == {}
        assert finding.severity == "error"
        assert "leaves tags out of its listings" in finding.message
        assert "a release after 3.1.1" in finding.fix

    def test_a_registry_that_cannot_be_tried_is_a_warning(self, make_wiring: MakeWiring) -> None:
        with FakeRegistry("3.1.1", readonly=True) as registry:
            finding = one("listing", quick(make_wiring(registry.url)))
        assert finding.severity == "warning"
        assert "the test that the registry lists every tag failed" in finding.message

    def test_the_listing_is_not_tried_if_the_storage_is_mounted(self, make_wiring: MakeWiring, tmp_path: Path) -> None:
        with FakeRegistry("3.1.1") as registry:
            finding = one("listing", quick(make_wiring(registry.url, storage={"path": str(tmp_path)})))
            assert [request.method for request in registry.requests] == ["GET"]
        assert finding.severity == "skipped"
