"""The driver of the real registry keeps its word: one port for life, requests counted, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.registry.client import RegistryClient
from service.registry.manifest import ManifestHead
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry

pytestmark = pytest.mark.live

_STARTS_ONE = """
import sys
from pathlib import Path
from tests.fakes.real_registry import RealRegistry
registry = RealRegistry(directory=Path(sys.argv[1]))
registry.start()
print(registry.pid, flush=True)
input()
"""


@pytest.fixture
def registry() -> Iterator[RealRegistry]:
    require_registry()
    with RealRegistry() as running:
        yield running


def test_a_restart_keeps_address_and_images(registry: RealRegistry) -> None:
    url, pid = registry.url, registry.pid
    with Pusher(url) as pusher:
        digest = pusher.push_image("shop/api", "v1")
    registry.restart({"storage": {"delete": {"enabled": False}}})
    assert registry.url == url
    assert registry.pid != pid
    with Pusher(url) as pusher:
        assert pusher.pull_whole("shop/api", "v1") == digest
        assert pusher.delete("shop/api", digest) == 405


def test_requests_are_counted_by_client(registry: RealRegistry) -> None:
    client = RegistryClient(registry.url)
    with Pusher(registry.url, agent="somebody/1") as pusher:
        for _ in range(5):
            client.tags("shop/api")
            pusher.tags("shop/api")
    # The fixture's requests for /v2/ are not counted.
    client.ping()
    assert registry.request_count("pushprune/") == 5
    assert registry.request_count("somebody/") == 5
    assert registry.request_count() == 10


def test_unchanged_does_not_prove_that_the_manifest_is_there(registry: RealRegistry) -> None:
    """A tag that a delete left behind still answers 304: what must be whole has to be asked for without a condition."""
    with Pusher(registry.url) as pusher:
        digest = pusher.push_image("shop/api", "v1")
    hexadecimal = digest.removeprefix("sha256:")
    revisions = registry.storage_path / "docker/registry/v2/repositories/shop/api/_manifests/revisions/sha256"
    (revisions / hexadecimal / "link").unlink()
    client = RegistryClient(registry.url)
    assert client.head("shop/api", "v1", unless=digest) == ManifestHead(digest, "")
    assert client.head("shop/api", "v1") is None


def test_the_registry_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    require_registry()
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _STARTS_ONE, str(tmp_path)]
    starter = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert _is_running(pid)
    os.kill(starter.pid, signal.SIGKILL)
    starter.communicate()
    deadline = time.monotonic() + 120
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    """A zombie that no parent waits for is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
