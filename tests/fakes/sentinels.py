"""A primary with two replicas and the three sentinels that watch them: real servers, killed and started at will."""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import redis

from service.process.die_with_parent import die_with_parent
from tests.fakes.valkey import Valkey, free_port, server_binary
from tests.support.waiting import until

SERVICE = "pushprune"


class Sentinels:
    """Three servers and three sentinels under `folder`. url: the service, as the settings name it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = [Valkey(folder / f"redis{number}", append_only=True) for number in range(3)]
        self.ports = [free_port() for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        primary, *replicas = [self._stack.enter_context(server) for server in self.servers]
        for replica in replicas:
            replica.options = ("--replicaof", "127.0.0.1", str(primary.port))
            replica.kill()
            replica.start()
        for port in self.ports:
            self._start_sentinel(port, primary.port)
        until(lambda: all(self._others(port) == (2, 2) for port in self.ports), "the sentinels do not find each other")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def primary(self) -> Valkey:
        """The server that takes writes, as the first sentinel says."""
        port = self._ask(self.ports[0], "GET-MASTER-ADDR-BY-NAME")[1]
        return next(server for server in self.servers if server.port == int(port))

    def be_patient(self, milliseconds: int) -> None:
        """Let the sentinels promote a replica once the primary has been silent for so long."""
        for port in self.ports:
            self._ask(port, "SET", "down-after-milliseconds", milliseconds)

    def wait_for_another_than(self, killed: Valkey) -> None:
        """Wait until a replica takes writes in place of the primary that was killed."""
        until(lambda: _replication(self.primary()).get("role") == "master", "no replica is promoted")

    def repair(self, server: Valkey) -> None:
        """Start a server that was killed. The sentinels make it a replica."""
        server.options = ()
        server.start()
        until(lambda: _replication(server).get("master_link_status") == "up", "the server does not become a replica")

    def _start_sentinel(self, port: int, primary: int) -> None:
        file = self.folder / f"sentinel{port}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.folder}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        command = die_with_parent([server_binary(), str(file), "--sentinel"])
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def _others(self, port: int) -> tuple[int, int]:
        """The replicas and the other sentinels that a sentinel knows."""
        try:
            return len(self._ask(port, "REPLICAS")), len(self._ask(port, "SENTINELS"))
        except redis.RedisError:
            return 0, 0

    def _ask(self, port: int, question: str, *arguments: Any) -> Any:
        with redis.Redis(port=port, decode_responses=True) as client:
            sentinel: Any = client
            return sentinel.execute_command(f"SENTINEL {question}", SERVICE, *arguments)


def _replication(server: Valkey) -> dict[str, Any]:
    """The state of a server; {} while it does not answer, as when a sentinel changes its role."""
    try:
        with server.client() as client:
            info: Any = client.info("replication")
            return dict(info)
    except redis.RedisError:
        return {}
