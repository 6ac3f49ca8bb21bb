"""A Redis that refuses for a while: no worker ends, and the work is done once it takes writes again."""

import shlex
import subprocess
from typing import Any

import pytest

from service.doctor.redis import RIGHTS
from tests.live.conftest import Live, LiveSystem, last, wait_until


def refuses(system: LiveSystem, worker: subprocess.Popen[bytes], sentence: str) -> None:
    """Wait until the worker has said that it cannot work, and is still there."""
    wait_until(lambda: sentence in system.log("worker1") or worker.poll() is not None, "the worker says nothing")
    assert worker.poll() is None, system.log("worker1")[-3000:]


def works_again(system: LiveSystem, worker: subprocess.Popen[bytes], tag: str = "after") -> None:
    """Push more than is kept, and wait until the policy was enforced by the worker that lived all the time."""
    for number in range(6):
        system.pusher.push_image("shop/api", f"{tag}{number}")
    kept = {f"{tag}{number}" for number in range(3, 6)}
    wait_until(lambda: system.tags("shop/api") == kept and system.quiet(), "the work is not done")
    assert worker.poll() is None, system.log("worker1")[-3000:]


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_server_that_is_demoted_and_promoted_again(live: Live, is_busy: bool) -> None:
    system = live(policy=last(3))
    worker, admin = system.start_worker(), system.valkey.client()
    for number in range(30 if is_busy else 0):
        system.pusher.push_image("shop/api", f"v{number}")
    replica: Any = admin
    replica.execute_command("REPLICAOF", "127.0.0.1", "1")
    refuses(system, worker, "read only replica")
    replica.execute_command("REPLICAOF", "NO", "ONE")
    works_again(system, worker)


def test_an_acl_that_is_narrowed_and_widened_again(live: Live) -> None:
    system = live(policy=last(3), redis_user="pushprune")
    worker = system.start_worker()
    admin: Any = system.valkey.client()
    for narrow, wide in (("-brpop", "+brpop"), ("-@write", "+@all"), ("resetkeys", "allkeys")):
        admin.execute_command("ACL", "SETUSER", "pushprune", narrow)
        refuses(system, worker, "permission")
        admin.execute_command("ACL", "SETUSER", "pushprune", wide)
        works_again(system, worker, f"after{narrow.strip('-@')}")


def test_the_rights_that_the_manual_gives_suffice(live: Live) -> None:
    """A user `default` that is switched off with all its rights is reported, too."""
    system = live(policy=last(3), redis_user="pushprune")
    rights = ["reset", "on", ">pw", *shlex.split(RIGHTS)]
    admin: Any = system.valkey.client()
    admin.execute_command("ACL", "SETUSER", "pushprune", *rights)
    works_again(system, system.start_worker())
    denied = [entry for entry in admin.acl_log() if entry["username"] == "pushprune"]
    assert [entry["object"] for entry in denied] == []


def test_a_memory_that_is_full(live: Live) -> None:
    system = live(policy=last(3))
    worker, admin = system.start_worker(), system.valkey.client()
    admin.config_set("maxmemory", 1)
    refuses(system, worker, "maxmemory")
    admin.config_set("maxmemory", 0)
    works_again(system, worker)
