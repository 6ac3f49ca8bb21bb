"""The pods of config/kubernetes/example as processes of this machine: pushes by the gate are recorded and pruned.

What a cluster adds (DNS, Services, volumes, policies) is replaced by free ports and folders; commands, environments,
files and probes are those of the manifests. The bucket is a server in memory.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from service.process.die_with_parent import die_with_parent
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import registry_binary, require_registry
from tests.fakes.s3 import S3Server
from tests.fakes.valkey import free_port, server_binary
from tests.live.conftest import wait_until
from tests.support.kubernetes import Manifest, build, container, copy_with_secrets, of_kind, pod

PORTS = {"registry": (5000, 5001), "redis": (6379,), "web": (8080,), "gatekeeper": (8081,), "gate": (5000,)}


class Pods:
    """The pods that were started. addresses: of their ports on this machine."""

    def __init__(self, folder: Path, bucket: str, stack: ExitStack) -> None:
        self.folder, self.bucket, self.stack = folder, bucket, stack
        manifests = copy_with_secrets(folder / "manifests")
        self.manifests: list[Manifest] = build(manifests / "example")
        self.secrets = manifests / "example/secrets"
        self.addresses = {
            (name, port): f"127.0.0.1:{free_port()}" for name, ports in PORTS.items() for port in ports
        }  # fmt: skip
        self.environments: dict[str, dict[str, str]] = {}

    def here(self, text: str, name: str) -> str:
        """A text of the manifests with addresses, and the folders of this pod, of this machine."""
        for (other, port), address in self.addresses.items():
            text = re.sub(rf"\b{other}(-debug)?:{port}\b", address, text)
        for port in PORTS.get(name, ()):
            own = self.addresses[name, port]
            text = re.sub(rf"(?<![\w.])(0\.0\.0\.0)?:{port}\b", own, text)
            text = text.replace(f"listen {port};", f"listen {own};")
        paths = [mount["mountPath"] for mount in container(self.manifests, name)["volumeMounts"]]
        path = "|".join(map(re.escape, sorted(paths, key=len, reverse=True)))
        return re.sub(rf"(?<![\w.])({path})(?![\w.])", lambda match: str(self.place(name) / match[1].strip("/")), text)

    def place(self, name: str) -> Path:
        return self.folder / "pods" / name

    def start(self, name: str) -> None:
        """Write the files of a pod, start its process, and wait until it is ready."""
        volumes = {volume["name"]: volume for volume in pod(self.manifests, name)["volumes"]}
        main = container(self.manifests, name)
        for mount in main["volumeMounts"]:
            target = self.place(name) / mount["mountPath"].strip("/")
            for file, text in self.files(volumes.get(mount["name"], {})).items():
                path = target if mount.get("subPath") == file else target / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(text, name))
            if "subPath" not in mount:
                target.mkdir(parents=True, exist_ok=True)
        environment = {each["name"]: self.here(each["value"], name) for each in main.get("env", ())}
        programs = f"{self.folder / 'programs'}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/bin"
        environment |= {"PATH": programs, "PUSHPRUNE_STORAGE__ENDPOINT": self.bucket}
        environment |= {"REGISTRY_STORAGE_S3_REGIONENDPOINT": self.bucket, "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true"}
        self.environments[name] = environment
        command = [self.here(word, name) for word in (main.get("command") or main["args"])]
        if name == "gate":
            command += ["-c", self.here("/etc/nginx/nginx.conf", name)]
        if name == "redis":
            command[-1] = command[-1].rstrip() + f" --port {self.addresses['redis', 6379].rpartition(':')[2]}"
        log = self.stack.enter_context((self.folder / f"{name}.log").open("w"))
        process = subprocess.Popen(
            die_with_parent(command), cwd=self.place(name), env=environment, stdout=log, stderr=log
        )  # fmt: skip
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        wait_until(lambda: process.poll() is not None or self.is_ready(name), f"{name} is not ready")
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()

    def files(self, volume: Manifest) -> dict[str, str]:
        if "configMap" in volume:
            data: dict[str, str] = of_kind(self.manifests, "ConfigMap")[volume["configMap"]["name"]]["data"]
            return data
        items = volume.get("secret", {}).get("items", ())
        return {item["path"]: (self.secrets / item["key"]).read_text() for item in items}

    def is_ready(self, name: str) -> bool:
        """Ask the readiness probe of a pod."""
        probe = container(self.manifests, name)["readinessProbe"]
        if "httpGet" in probe:
            try:
                path = probe["httpGet"]["path"]
                return requests.get(f"http://{self.addresses[name, PORTS[name][0]]}{path}", timeout=60).ok
            except requests.ConnectionError:
                return False
        if name == "redis":
            probe = {"exec": {"command": [*probe["exec"]["command"][:-1], self.redis_probe(probe)]}}
        return self.run(name, *(self.here(word, name) for word in probe["exec"]["command"])).returncode == 0

    def redis_probe(self, probe: Manifest) -> str:
        script: str = probe["exec"]["command"][-1]
        return script.replace("redis-cli", f"redis-cli -p {self.addresses['redis', 6379].rpartition(':')[2]}")

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a pod."""
        return subprocess.run(
            command, env=self.environments[name], cwd=self.place(name), capture_output=True, text=True, check=False
        )


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    """Every pod of the example, ready."""
    require_registry()
    programs = tmp_path / "programs"
    programs.mkdir()
    server = server_binary()
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    for name, binary in {"registry": registry_binary(), "redis-server": server, "redis-cli": client}.items():
        assert binary, f"there is no {name}"
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(binary))} "$@"\n')
        (programs / name).chmod(0o755)
    with ExitStack() as stack:
        bucket = stack.enter_context(S3Server())
        result = Pods(tmp_path, bucket.url, stack)
        for name in ("redis", "registry", "web", "gatekeeper", "gate", "worker", "gc-worker"):
            result.start(name)
        yield result


@pytest.mark.deep
def test_the_pods_record_prune_and_collect_what_is_pushed_by_the_gate(pods: Pods) -> None:
    gate = f"http://{pods.addresses['gate', 5000]}"
    wait_until(
        lambda: "idle" in pods.run("web", "pushprune", "reconcile", "--status").stdout or True, "first comparison"
    )
    pusher = Pusher(gate)
    for number in range(12):
        pusher.push_image("shop/api", f"v{number}")
    tags = {f"v{number}" for number in range(2, 12)}
    wait_until(
        lambda: set(requests.get(f"{gate}/v2/shop/api/tags/list", timeout=60).json()["tags"]) == tags,
        "v0 and v1 remain",
    )
    assert pods.run("web", "pushprune", "gc", "--now").returncode == 0
    doctor = pods.run("web", "pushprune", "doctor", "--front", gate)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "online collections; the last one: done" in doctor.stdout
