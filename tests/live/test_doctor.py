"""`pushprune doctor` over the real registry: each thing planted wrong is found, with the line that mends it."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from service.cli.main import main
from service.domain.errors import RegistryRefused
from service.registry.debug import DebugServer
from service.registry.probe import UNKNOWN, Probe
from tests.fakes.real_registry import RealRegistry, registry_binary
from tests.fakes.valkey import free_port
from tests.live.conftest import TOKEN, Live, LiveSystem, last

pytestmark = pytest.mark.live

Findings = dict[str, list[dict[str, str]]]
Doctor = Callable[..., tuple[int, Findings]]

REPOSITORY = "pushprune/doctor"


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """doctor(system, *options) -> exit code, and what it found by name."""
    for name in [name for name in os.environ if name.startswith("PUSHPRUNE_")]:
        monkeypatch.delenv(name)

    def call(system: LiveSystem, *options: str) -> tuple[int, Findings]:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--config", str(system.config), "--json", *options])
        findings: Findings = {}
        for finding in json.loads(capsys.readouterr().out)["findings"]:
            findings.setdefault(finding["name"], []).append(finding)
        return int(ended.value.code or 0), findings

    return call


def only(findings: Findings, name: str) -> tuple[str, str, str]:
    (finding,) = findings[name]
    return finding["severity"], finding["message"], finding["fix"]


def endpoint(url: str, token: str) -> dict[str, Any]:
    headers = {"Authorization": [f"Bearer {token}"]}
    hold = {"name": "test", "url": url, "timeout": "2s", "threshold": 3, "backoff": "200ms", "headers": headers}
    return {"notifications": {"endpoints": [hold]}}


def test_a_right_system_is_right_and_nothing_is_left_of_the_look(live: Live, doctor: Doctor) -> None:
    binary = registry_binary()
    system = live(policy=last(10), gc={"command": [binary, "garbage-collect"], "schedule": "0 3 * * *"})
    system.start_worker()
    code, findings = doctor(system, "--wait", "60")
    wrong = [finding for item in findings.values() for finding in item if finding["severity"] != "ok"]
    assert (code, wrong) == (0, [])
    assert "the notification of a push arrived after" in only(findings, "notifications")[1]
    assert system.store.history.repositories() == ()
    assert system.store.history.entries() == ()
    assert (system.tags(REPOSITORY), system.registry.manifests(REPOSITORY)) == (set(), frozenset())


def test_deletes_switched_off_are_found_and_nobody_loses_anything(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    system.pusher.push_image("shop/api", "v1")
    system.registry.restart({"storage": {"delete": {"enabled": False}}})
    code, findings = doctor(system)
    severity, message, mend = only(findings, "deletes")
    assert (code, severity) == (1, "error")
    assert "deletes disabled" in message
    assert mend.startswith("storage: {delete: {enabled: true}}")
    assert only(findings, "notifications")[0] == "ok"
    assert system.tags("shop/api") == {"v1"}
    assert len(system.registry.manifests(REPOSITORY)) == 1
    doctor(system)
    assert len(system.registry.manifests(REPOSITORY)) == 1, "what cannot be removed is not piled up"
    system.registry.restart(yaml.safe_load(mend))
    assert only(doctor(system)[1], "deletes")[0] == "ok"
    assert system.registry.manifests(REPOSITORY) == frozenset()


def test_a_read_only_registry_is_told_from_one_with_deletes_off(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    system.registry.restart({"storage": {"maintenance": {"readonly": {"enabled": True}}}})
    severity, _, mend = only(doctor(system)[1], "deletes")
    assert severity == "error"
    assert mend.startswith("storage: {maintenance: {readonly: {enabled: false}}}")
    system.registry.restart(yaml.safe_load(mend))
    assert only(doctor(system)[1], "deletes")[0] == "ok"


@pytest.mark.parametrize(("cache", "deletes"), [("inmemory", True), ("redis", False)])
def test_a_blob_descriptor_cache_is_found(live: Live, doctor: Doctor, cache: str, deletes: bool) -> None:
    system = live(policy=last(10))
    assert only(doctor(system)[1], "cache")[0] == "ok"
    address = system.valkey.url.removeprefix("redis://").removesuffix("/0")
    storage = {"cache": {"blobdescriptor": cache}, "delete": {"enabled": deletes}}
    system.registry.restart({"storage": storage, "redis": {"addr": address, "db": 7}})
    for _ in range(2):
        code, findings = doctor(system)
        severity, message, mend = only(findings, "cache")
        assert (code, severity) == (1, "error")
        assert "blob-descriptor cache" in message
        assert "take `blobdescriptor` out of `cache`" in mend
    system.registry.restart({"storage": {"cache": {"blobdescriptor": ""}, "delete": {"enabled": True}}})
    assert only(doctor(system)[1], "cache")[0] == "ok"


def test_a_notification_address_that_leads_nowhere_is_found(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    system.registry.restart(endpoint("http://127.0.0.1:1/notifications", TOKEN))
    code, findings = doctor(system, "--wait", "1")
    severity, message, mend = only(findings, "notifications")
    assert (code, severity) == (1, "error")
    assert "did not report a push within 1 s" in message
    assert f'url: "{system.web_url}/notifications"' in mend
    system.registry.restart(yaml.safe_load(mend.replace("<tokens.notify>", TOKEN)))
    assert only(doctor(system, "--wait", "60")[1], "notifications")[0] == "ok"
    assert only(findings, "web")[0] == "ok"


def test_a_wrong_token_at_the_registry_is_found(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    system.registry.restart(endpoint(f"{system.web_url}/notifications", "wrong"))
    code, findings = doctor(system, "--wait", "2")
    severity, message, mend = only(findings, "notifications")
    assert (code, severity) == (1, "error")
    assert "does not contain tokens.notify" in message
    assert mend.startswith('headers: {Authorization: ["Bearer <the value of tokens.notify>"]}')
    assert TOKEN not in json.dumps(findings)


def test_events_without_references_are_found(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    system.registry.restart({"notifications": {"events": {"includereferences": False}}})
    severity, _, mend = only(doctor(system)[1], "notifications")
    assert severity == "warning"
    assert mend.startswith("notifications: {events: {includereferences: true}}")
    system.registry.restart(yaml.safe_load(mend))
    assert only(doctor(system, "--wait", "60")[1], "notifications")[0] == "ok"


def test_uploads_that_nobody_ended_are_found(live: Live, doctor: Doctor) -> None:
    system = live(policy=last(10))
    begun = requests.post(f"{system.registry.url}/v2/shop/api/blobs/uploads/", timeout=10)
    requests.patch(begun.headers["Location"], data=b"x" * 3_000_000, timeout=10)
    assert only(doctor(system)[1], "storage")[0] == "ok"
    old_s = time.time() - 3 * 86_400
    (upload,) = system.registry.storage_path.glob("**/_uploads/*")
    for path in upload.rglob("*"):
        os.utime(path, (old_s, old_s))
    severity, message, mend = only(doctor(system)[1], "storage")
    assert severity == "warning"
    assert "1 uploads abandoned for more than a day hold 3.0 MB, the oldest for 3 days" in message
    assert mend.startswith("storage: {maintenance: {uploadpurging: {enabled: true")
    system.registry.restart(yaml.safe_load(mend))
    assert only(doctor(system)[1], "registry")[0] == "ok", "the registry starts with that line"


@pytest.mark.parametrize("cache", ["", "inmemory"])
def test_the_debug_server_tells_of_a_cache_where_the_answers_do_not(tmp_path: Path, cache: str) -> None:
    debug = f"127.0.0.1:{free_port()}"
    config = {
        "http": {"debug": {"addr": debug, "prometheus": {"enabled": True}}},
        "storage": {"cache": {"blobdescriptor": cache}, "maintenance": {"readonly": {"enabled": True}}},
    }
    with RealRegistry(directory=tmp_path, config=config) as registry:
        probe = Probe(registry.url, "0123456789abcdef")
        with pytest.raises(RegistryRefused):
            probe.caches_descriptors(REPOSITORY)
        assert not probe.has_blob(REPOSITORY, UNKNOWN)
        answer = DebugServer([f"http://{debug}"], 10)
        assert (answer.cache_requests() > 0) == bool(cache)
        assert answer.undelivered() == 0
