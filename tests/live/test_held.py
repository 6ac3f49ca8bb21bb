"""Pushes that stand still: their uploaded blobs are held during a collection, which they do not postpone."""

import sys
from pathlib import Path
from typing import Any

import pytest

from service.domain.collection.run import MANUAL
from tests.fakes.images import make_image, sha256
from tests.fakes.pusher import Pusher
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.collectors import command
from tests.support.drain import collect

SHOP = "shop/api"
ABORTED = make_image("aborted", layers=2)


def system_of(live: Live, folder: Path, **more: Any) -> LiveSystem:
    return live(policy=last(1), gc={"gate": "proxy", "command": command(folder), "settle": 0}, **more)


def abort_a_push(system: LiveSystem) -> None:
    """A client ends before it sends the manifest, and half a minute passes."""
    with Pusher(system.url, agent="docker/27 (vanishes)") as pusher:
        for blob in ABORTED.blobs:
            pusher.push_blob(SHOP, blob)
    client: Any = system.store.connection.client
    wait_until(lambda: client.zcard("pushprune:unreferenced") == 6, "the gate's and the registry's word of each blob")
    client.delete("pushprune:pushing")


def go_on(system: LiveSystem) -> None:
    """Continue the push: send the manifest, and nothing else."""
    system.pusher.put(SHOP, "late", ABORTED.media_type, ABORTED.manifest)
    system.pusher.pull_whole(SHOP, "late")


def delete_v1(system: LiveSystem) -> str:
    """Let the policy delete v1; return the digest of its layer."""
    system.pusher.push_image(SHOP, "v1", seed="v1")
    system.pusher.push_image(SHOP, "v2", seed="v2")
    worker = system.start_worker("enforce,delete")
    wait_until(lambda: system.tags(SHOP) == {"v2"} and system.quiet(), "v1 was not deleted")
    system.kill(worker)
    return sha256(make_image("v1").blobs[1])


@pytest.mark.parametrize("mounted", [True, pytest.param(False, marks=pytest.mark.deep)])
def test_an_aborted_push_does_not_put_off_what_it_does_not_need_and_may_go_on(
    live: Live, tmp_path: Path, mounted: bool
) -> None:
    system = system_of(live, tmp_path, **({} if mounted else {"storage": {}}))
    swept = delete_v1(system)
    abort_a_push(system)
    manifests = system.registry.manifests(SHOP)
    run = collect(system.wiring, MANUAL)
    assert (run.result, run.message, run.blobs) == ("done", "", 3)
    assert not system.wiring.registry.client.claims_blob(SHOP, swept)
    assert system.registry.manifests(SHOP) == manifests, "what held them is gone"
    assert system.store.gate.pins() == ()
    assert {entry.action for entry in system.store.history.entries(SHOP)} <= {"push", "pruned"}
    go_on(system)


def test_the_claims_of_a_run_that_died_are_released_by_the_next_run(live: Live, tmp_path: Path) -> None:
    system = system_of(live, tmp_path)
    delete_v1(system)
    abort_a_push(system)
    script = tmp_path / "slow.py"
    script.write_text(
        "import os, pathlib, subprocess, sys, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "if '--dry-run' not in sys.argv and not (folder / 'at').exists():\n"
        "    (folder / 'at').touch()\n    time.sleep(600)\n"
        f"sys.exit(subprocess.run({command(tmp_path)!r}.split() + sys.argv[1:]).returncode)\n"
    )
    text = system.config.read_text().replace(command(tmp_path), f"{sys.executable} {script}")
    system.config.write_text(text)
    worker = system.start_worker("garbage")
    manifests = system.registry.manifests(SHOP)
    system.store.collections.request(MANUAL)
    wait_until(lambda: (tmp_path / "at").exists(), "it does not sweep")
    (held,) = system.store.gate.pins()
    assert system.registry.has_manifest(*held)
    worker.kill()
    worker.wait()
    system.start_worker("garbage")
    wait_until(
        lambda: [run.result for run in system.store.collection_runs.latest()][:1] == ["done"], "it was not made up for"
    )
    assert system.registry.manifests(SHOP) == manifests
    assert system.store.gate.pins() == ()
    go_on(system)
