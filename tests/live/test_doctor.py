"""`pushprune doctor` over the real registry: each planted fault is found, with the line that fixes it."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from service.cli.main import main
from service.domain.errors import RegistryRefused
from service.registry.debug import DebugServer
from service.registry.probe import UNKNOWN, Probe
from tests.fakes.real_registry import RealRegistry, registry_binary, require_registry
from tests.fakes.valkey import free_port
from tests.live.conftest import Live, LiveSystem, last

Findings = dict[str, list[dict[str, str]]]
Doctor = Callable[..., tuple[int, Findings]]

REPOSITORY = "pushprune/doctor"


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """doctor(system, *options) -> exit code, and the findings by name."""
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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """One system without a worker, for the tests that repair its registry at their end."""
    require_registry()
    with ExitStack() as stack:
        yield LiveSystem(tmp_path_factory.mktemp("doctor"), stack, {"policy": last(10)})


def only(findings: Findings, name: str) -> tuple[str, str, str]:
    (finding,) = findings[name]
    return finding["severity"], finding["message"], finding["fix"]


def test_a_right_system_is_right_and_nothing_is_left_of_the_look(live: Live, doctor: Doctor) -> None:
    binary = registry_binary()
    system = live(policy=last(10), gc={"command": [binary, "garbage-collect"], "schedule": "0 3 * * *"})
    system.start_worker()
    for _ in range(5):
        code, findings = doctor(system, "--wait", "60")
        every = [finding for item in findings.values() for finding in item]
        wrong = [finding for finding in every if finding["severity"] not in ("ok", "skipped")]
        # On a machine that stands still a process answers too late, once.
        if not wrong:
            break
    assert (code, wrong) == (0, [])
    assert "the notification of a push arrived after" in only(findings, "notifications")[1]
    assert system.store.history.repositories() == ()
    assert system.store.history.entries() == ()
    assert (system.tags(REPOSITORY), system.registry.manifests(REPOSITORY)) == (set(), frozenset())


def test_deletes_switched_off_are_found_and_no_image_is_lost(shared: LiveSystem, doctor: Doctor) -> None:
    system = shared
    system.pusher.push_image("shop/api", "v1")
    system.registry.restart({"storage": {"delete": {"enabled": False}}})
    code, findings = doctor(system, "--wait", "60")
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


@pytest.mark.parametrize(("cache", "deletes"), [("inmemory", True), ("redis", False)])
def test_a_blob_descriptor_cache_is_found(shared: LiveSystem, doctor: Doctor, cache: str, deletes: bool) -> None:
    system = shared
    assert only(doctor(system)[1], "cache")[0] == "ok"
    address = system.valkey.url.removeprefix("redis://").removesuffix("/0")
    storage = {"cache": {"blobdescriptor": cache}, "delete": {"enabled": deletes}}
    system.registry.restart({"storage": storage, "redis": {"addr": address, "db": 7}})
    for _ in range(2):
        code, findings = doctor(system)
        severity, message, mend = only(findings, "cache")
        assert (code, severity) == (1, "error")
        assert "blob-descriptor cache" in message
        assert "remove `blobdescriptor` from `cache`" in mend
    system.registry.restart({"storage": {"cache": {"blobdescriptor": ""}, "delete": {"enabled": True}}})
    assert only(doctor(system)[1], "cache")[0] == "ok"


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
