"""A backup is exported and imported beside a running service, with the least rights in Redis."""

import shlex
from pathlib import Path
from typing import Any

from service.doctor.redis import RIGHTS
from tests.live.conftest import Live, last, pushprune, wait_until

SHOP = "shop/api"


def test_the_service_waits_for_an_import_and_continues_with_what_was_imported(live: Live, tmp_path: Path) -> None:
    system = live(policy=last(2, protect=["stable"]), redis_user="pushprune")
    admin: Any = system.valkey.client()
    admin.execute_command("ACL", "SETUSER", "pushprune", "reset", "on", ">pw", *shlex.split(RIGHTS))
    worker, file = system.start_worker(), str(tmp_path / "backup.jsonl.gz")
    # An older image, without which tags that are missing look like those of an emptied storage.
    system.pusher.push_image(SHOP, "stable")
    for number in range(4):
        system.pusher.push_image(SHOP, f"v{number}")
    wait_until(lambda: system.tags(SHOP) == {"v2", "v3", "stable"} and system.quiet(), "it is not pruned")
    pushprune(system, "export", file)
    system.pusher.push_image(SHOP, "v4")
    wait_until(lambda: system.tags(SHOP) == {"v3", "v4", "stable"} and system.quiet(), "it is not pruned")

    def is_noticed() -> bool:
        """Import. A worker that is stopped for the two seconds that an import waits does not notice the import."""
        pushprune(system, "import", file, "--replace", "--yes")
        return "Redis cannot be used yet" in system.log("worker1")

    wait_until(is_noticed, "the worker goes on during imports")
    # v4 is found by the comparison, with the push time that the storage gives.
    for tag in ("v5", "v6"):
        system.pusher.push_image(SHOP, tag)
    wait_until(lambda: system.tags(SHOP) == {"v5", "v6", "stable"} and system.quiet(), "the service does not continue")
    wait_until(lambda: "Redis can be used again" in system.log("worker1"), "the worker does not say that it works")
    assert (worker.poll(), system.web.poll()) == (None, None)
    denied = [entry["object"] for entry in admin.acl_log() if entry["username"] == "pushprune"]
    assert denied == []
    pushprune(system, "restore", f"{SHOP}:v0")
    system.pusher.pull_whole(SHOP, "v0")
