"""Collections with the real registry: a stale cache, a missing mark, and a registry that is read-only meanwhile."""

import json
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.domain.collection.run import MANUAL
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.collectors import command
from tests.support.drain import collect

CACHE = {"storage": {"cache": {"blobdescriptor": "inmemory"}}}


def asking(folder: Path, what: str) -> list[str]:
    """A command that asks `restarts` for a restart, and ends when it was made."""
    script = folder / "ask.py"
    script.write_text(
        "import pathlib, sys, time\nfolder, what = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / 'restarted').unlink(missing_ok=True)\n(folder / 'asked.new').write_text(what)\n"
        "(folder / 'asked.new').rename(folder / 'asked')\n"
        "while not (folder / 'restarted').exists(): time.sleep(0.01)\n"
    )
    return [sys.executable, str(script), str(folder), what]


@contextmanager
def restarts(system: LiveSystem, kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    """Restart the registry whenever a command asks for it, with what this kind of restart changes; yields the kinds.

    The registry dies with the thread that started it: this one lives as long as the block.
    """
    made: list[str] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.02):
            asked = system.folder / "asked"
            if asked.exists():
                made.append(asked.read_text())
                asked.unlink()
                system.registry.restart(kinds[made[-1]])
                (system.folder / "restarted").touch()
        system.registry.stop()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def delete_v1(system: LiveSystem) -> str:
    """Let the policy delete v1; return the digest of its layer."""
    system.pusher.push_image("shop/api", "v1", seed="v1")
    blob = str(system.pusher.manifest("shop/api", "v1").json()["layers"][0]["digest"])
    system.pusher.push_image("shop/api", "v2", seed="v2")
    worker = system.start_worker("enforce,delete")
    wait_until(lambda: system.tags("shop/api") == {"v2"} and system.quiet(), "v1 was not deleted")
    system.kill(worker)
    return blob


def gc(folder: Path, **more: Any) -> dict[str, Any]:
    return {"command": command(folder), "settle": 0, **more}


@pytest.mark.parametrize("mounted", [True, False])
def test_a_stale_cache_is_found_and_healed_by_a_restart(live: Live, tmp_path: Path, mounted: bool) -> None:
    storage: dict[str, Any] = {} if mounted else {"storage": {}}
    system = live(policy=last(1), gc=gc(tmp_path, after=asking(tmp_path, "as it was")), **storage)
    system.registry.restart(CACHE)
    blob = delete_v1(system)
    with restarts(system, {"as it was": {}}) as made:
        run = collect(system.wiring, MANUAL)
        assert (run.result, run.message) == ("done", "")
        assert "the registry claimed to have shop/api@sha256:" in run.note
        assert "which was garbage-collected, until gc.after restarted it" in run.note
        assert made == ["as it was"]
        assert not system.wiring.registry.client.claims_blob("shop/api", blob)
        assert "garbage" not in {trouble.about for trouble in system.store.outbox.troubles()}
        system.pusher.push_image("shop/api", "v1", seed="v1")
        system.pusher.pull_whole("shop/api", "v1")
        assert run.bytes_freed is not None
        assert run.bytes_freed > 200


def hiding(folder: Path, repository: str) -> list[str]:
    """The collector, from which the manifest named in the file `hidden` is hidden while it runs."""
    script = folder / "hide.py"
    revisions = folder / "registry/storage/docker/registry/v2/repositories" / repository / "_manifests/revisions/sha256"
    script.write_text(
        "import pathlib, subprocess, sys\n"
        f"folder, revisions = pathlib.Path({str(folder)!r}), pathlib.Path({str(revisions)!r})\n"
        "link = revisions / (folder / 'hidden').read_text().partition(':')[2]\n"
        "link.rename(folder / 'away')\n"
        "try:\n    code = subprocess.run(sys.argv[1:]).returncode\n"
        "finally:\n    (folder / 'away').rename(link)\n"
        "sys.exit(code)\n"
    )
    return [sys.executable, str(script), *shlex.split(command(folder))]


@pytest.mark.parametrize(("which", "mounted"), [("tag", True), ("part", False), ("untagged", True), ("unheard", False)])
def test_a_manifest_that_is_hidden_from_the_collector_stops_the_sweep(
    live: Live, tmp_path: Path, mounted: bool, which: str
) -> None:
    storage: dict[str, Any] = {} if mounted else {"storage": {}}
    system = live(policy=last(9), gc=gc(tmp_path, command=hiding(tmp_path, "shop/api")), **storage)
    if which == "unheard":  # neither the history nor an event knows its repository
        system.kill(system.web)
    digest = system.pusher.push_index("shop/api", "multi") if which == "part" else ""
    hidden = system.pusher.push_image("shop/api", None if which == "untagged" else "v1")
    if which == "part":
        hidden = system.pusher.manifest("shop/api", digest).json()["manifests"][1]["digest"]
    if which == "untagged":  # its push is over with a tag
        system.pusher.push_image("shop/api", "v2")
    if which != "unheard":
        tags = {"tag": {"v1"}, "part": {"v1", "multi"}, "untagged": {"v2"}}[which]
        wait_until(lambda: system.heard("shop/api", tags), "the pushes were not heard")
    (tmp_path / "hidden").write_text(hidden)
    run = collect(system.wiring, MANUAL)
    assert run.result == "failed"
    assert "did not mark shop/api" in run.message
    assert "which still exists; nothing was deleted" in run.message
    for reference in {"tag": ["v1"], "part": ["multi"], "unheard": ["v1"]}.get(which, [hidden]):
        system.pusher.pull_whole("shop/api", reference)
    assert system.store.collections.requested() == MANUAL


def noting(folder: Path) -> list[str]:
    """The collector, which notes before it runs what a push would be answered."""
    script = folder / "note.py"
    script.write_text(
        "import pathlib, subprocess, sys, urllib.error, urllib.request\n"
        f"folder = pathlib.Path({str(folder)!r})\nurl = (folder / 'url').read_text()\n"
        "asked = urllib.request.Request(f'{url}/v2/shop/api/blobs/uploads/', method='POST')\n"
        "try:\n    status = urllib.request.urlopen(asked).status\n"
        "except urllib.error.HTTPError as error:\n    status = error.code\n"
        "with (folder / 'statuses').open('a') as file: print(status, file=file)\n"
        "sys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
    )
    return [sys.executable, str(script), *shlex.split(command(folder))]


def readonly(is_so: bool) -> dict[str, Any]:
    return {"storage": {"maintenance": {"readonly": {"enabled": is_so}}}}


def test_the_registry_is_read_only_while_it_is_collected_and_writable_again(live: Live, tmp_path: Path) -> None:
    more = {"gate": "readonly", "before": asking(tmp_path, "read-only"), "after": asking(tmp_path, "as it was")}
    system = live(policy=last(1), gc=gc(tmp_path, command=noting(tmp_path), **more))
    (tmp_path / "url").write_text(system.registry.url)
    blob = delete_v1(system)
    with restarts(system, {"read-only": readonly(True), "as it was": readonly(False)}) as made:
        run = collect(system.wiring, MANUAL)
        assert (run.result, run.message, run.gate, run.note) == ("done", "", "readonly", "")
        assert made == ["read-only", "as it was"]
        assert (tmp_path / "statuses").read_text().split() == ["405", "405"], "dry run and sweep"
        assert not system.wiring.registry.client.claims_blob("shop/api", blob)
        system.pusher.push_image("shop/api", "v3")
        system.pusher.pull_whole("shop/api", "v3")


def test_the_command_line_has_a_dry_run_and_a_collection_made_and_shows_them(live: Live, tmp_path: Path) -> None:
    system = live(policy=last(1), gc=gc(tmp_path, window="00:00-00:01,12:00-12:01"))
    blob = delete_v1(system)
    system.start_worker("garbage")
    dry = system.verb("gc", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    message = json.loads(dry.stdout)
    assert (message["result"], message["blobs"], blob in message["would_delete"]) == ("dry run", 3, True)
    assert message["bytes_freed"] == sum(message["would_delete"].values())
    assert system.wiring.registry.client.claims_blob("shop/api", blob)
    now = system.verb("gc", "--now")
    assert now.returncode == 0, now.stderr
    assert "gc.window and gc.min_interval are ignored" in now.stderr
    assert not system.wiring.registry.client.claims_blob("shop/api", blob)
    status = json.loads(system.verb("gc", "--status", "--json").stdout)
    assert {run["result"] for run in status["runs"]} - {"postponed"} == {"done", "dry run"}
    done = [run for run in status["runs"] if run["result"] == "done"]
    assert sum(run["blobs"] for run in done) == 3
    # The verb waits for the end of the collection: if Redis did not answer meanwhile, it was run again.
    if len(done) == 1:
        assert "3 blobs deleted" in now.stdout
        assert "deletions that can no longer be undone: 1" in now.stdout
        assert (status["running"], status["queued"]) == (None, None)
