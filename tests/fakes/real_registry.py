"""Start and stop a real CNCF Distribution registry on a free port, in a directory of its own."""

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import requests
import yaml

from service.process.die_with_parent import die_with_parent
from tests.support.waiting import until

LOGIN = ("pruner", "s3cret-Password")
_HTPASSWD = "pruner:$2b$04$ksXiwTcMIFC.pP8.3Ng7suxesYjqoPa4xmswSHT.IBuAgeXY6dGy2\n"
_ACCESS = re.compile(
    r'^\S+ \S+ \S+ \[[^]]+\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) \d+ "[^"]*" "(?P<agent>.*)"$'
)

HOW_TO_INSTALL = (
    "no registry binary found: install it (Debian family: `apt-get install docker-registry`), "
    "or name one in PUSHPRUNE_REGISTRY_BIN"
)


def registry_binary() -> str | None:
    """The real registry's binary: PUSHPRUNE_REGISTRY_BIN, else `registry` or `docker-registry` on PATH."""
    named = os.environ.get("PUSHPRUNE_REGISTRY_BIN")
    candidates = [named] if named else ["registry", "docker-registry"]
    return next((item for item in map(shutil.which, candidates) if item), None)


def require_registry() -> None:
    """Fail the test if there is no binary; skip it only if the environment says so, and never on CI."""
    if registry_binary() is not None:
        return
    if os.environ.get("PUSHPRUNE_TESTS_WITHOUT_REGISTRY") == "1" and not os.environ.get("CI"):
        pytest.skip("PUSHPRUNE_TESTS_WITHOUT_REGISTRY=1 and no registry binary")
    pytest.fail(HOW_TO_INSTALL, pytrace=False)


class RealRegistry:
    """A registry process with filesystem storage, from `with` (or start()) until its end; it dies with this thread.

    notify_url, notify_token: one notification endpoint; htpasswd: only LOGIN may come in; config: merged over the
    configuration that results, nested; None takes a key out. After a restart the port, and so `url`, is the same.
    """

    def __init__(
        self,
        *,
        notify_url: str | None = None,
        notify_token: str | None = None,
        delete_enabled: bool = True,
        htpasswd: bool = False,
        config: Mapping[str, Any] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._own = None if directory else tempfile.TemporaryDirectory(prefix="pushprune-registry-")
        self._directory = directory or Path(str(self._own and self._own.name))
        self.config_path = self._directory / "config.yml"
        self.log_path = self._directory / "registry.log"
        self.storage_path = self._directory / "storage"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage_path)},
                "delete": {"enabled": delete_enabled},
            },
            "http": {"addr": "127.0.0.1:0", "secret": "fixed, so that uploads outlive a restart"},
        }
        if notify_url is not None:
            self._config["notifications"] = {"endpoints": [_endpoint(notify_url, notify_token)]}
        if htpasswd:
            path = self._directory / "htpasswd"
            path.write_text(_HTPASSWD)
            self._config["auth"] = {"htpasswd": {"realm": "test", "path": str(path)}}
        _merge(self._config, config or {})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._own is not None:
            self._own.cleanup()

    @property
    def version(self) -> str:
        """The version of the binary, such as 2.8.3."""
        output = subprocess.run([_binary(), "--version"], capture_output=True, text=True, check=True).stdout
        result = re.search(r"(\d+\.\d+[.\w+-]*)", output)
        return result[1] if result else output

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Wait until /v2/ answers. The kernel chooses the port the first time, and the log says it.

        With an `http.addr` of the test's own the log may be quieter than `info`.
        """
        self.write_config()
        offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            command = die_with_parent([_binary(), "serve", str(self.config_path)])
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment()
            )
        if self._config["http"]["addr"].endswith(":0"):
            port = self._wait(lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", self._log(offset)))[1]
            self._config["http"]["addr"] = f"127.0.0.1:{port}"
        self.url = f"http://{self._config['http']['addr']}"
        self._wait(lambda: self._status("ready") in (200, 401))

    def write_config(self) -> None:
        """Write the configuration file, which is all that a collection needs."""
        self.config_path.write_text(yaml.safe_dump(self._config))

    def stop(self) -> None:
        """End the registry politely, then by SIGKILL. Queued notifications are lost."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, config: Mapping[str, Any] | None = None) -> None:
        """Stop and start the registry on the same port and storage; config: merged in before the start."""
        self.stop()
        _merge(self._config, config or {})
        self.start()

    def request_count(self, user_agent_prefix: str = "", method: str = "") -> int:
        """The number of requests answered since the first start to clients with such a User-Agent.

        A request of our own closes the count: once it stands in the access log, so does all that was answered before.
        Not counted: GET /v2/, by which the workers see every few seconds whether the registry answers.
        """
        marker = f"count-{uuid.uuid4()}"
        self._status(marker)
        self._wait(lambda: marker in self._log())
        return sum(
            agent.startswith(user_agent_prefix) and made in (method or made,)
            for made, path, agent in self._accesses()
            if not agent.startswith(("count-", "ready")) and path != "/v2/"
        )

    def tag_names(self, repository: str) -> frozenset[str]:
        """The tags in the storage: reading them there costs no request, and emits no pull event."""
        tags = self._manifests(repository) / "tags"
        return frozenset(entry.name for entry in os.scandir(tags)) if tags.exists() else frozenset()

    def has_manifest(self, repository: str, digest: str) -> bool:
        """True if a manifest can be reached by its digest, as its storage says."""
        return self.manifest_link(repository, digest).exists()

    def manifest_link(self, repository: str, digest: str) -> Path:
        """The file by which a manifest can be reached by its digest."""
        return self._manifests(repository) / "revisions" / digest.replace(":", "/") / "link"

    def manifests(self, repository: str) -> frozenset[str]:
        """The digests of all manifests that can be reached, with and without a tag, as its storage says."""
        links = (self._manifests(repository) / "revisions").glob("*/*/link")
        return frozenset(f"{link.parent.parent.name}:{link.parent.name}" for link in links)

    def collect(self, *options: str) -> str:
        """Run garbage-collect on the storage and return its output; raise if it fails."""
        command = [_binary(), "garbage-collect", *options, str(self.config_path)]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=300, env=_environment()
        ).stdout

    def _manifests(self, repository: str) -> Path:
        return self.storage_path / "docker/registry/v2/repositories" / repository / "_manifests"

    def _accesses(self) -> Iterator[tuple[str, str, str]]:
        for line in self._log().splitlines():
            result = _ACCESS.match(line)
            if result:
                yield result["method"], result["path"], result["agent"]

    def _status(self, agent: str) -> int:
        try:
            return requests.get(f"{self.url}/v2/", headers={"User-Agent": agent}, timeout=5).status_code
        except requests.RequestException:
            return 0

    def _log(self, offset: int = 0) -> str:
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def _wait(self, condition: Callable[[], Any]) -> Any:
        def answer() -> Any:
            result = condition()
            is_over = self._process is not None and self._process.poll() is not None
            assert result or not is_over, f"the registry ended:\n{self._log()[-3000:]}"
            return result

        return until(answer, "the registry is not ready")


def _environment() -> dict[str, str]:
    """The environment of this process, without a variable that makes 2.8.3 with S3 panic at its start."""
    return {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}


def _binary() -> str:
    result = registry_binary()
    if result is None:
        raise AssertionError(HOW_TO_INSTALL)
    return result


def _endpoint(url: str, token: str | None) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"name": "test", "url": url, "timeout": "2s", "threshold": 3, "backoff": "200ms"}
    if token is not None:
        endpoint["headers"] = {"Authorization": [f"Bearer {token}"]}
    return endpoint


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if value is None:
            below.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value
