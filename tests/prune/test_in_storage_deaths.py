"""A worker that deletes in the storage dies between any two steps: the next one ends its work and leaves nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.domain.history import reconciliation
from service.prune import deleting, planning
from service.reconcile import run as reconcile_run
from service.registry import quarantine
from service.registry.quarantine import FOLDER, Quarantine
from service.store.connection import Connection
from tests.conftest import keep_last
from tests.fakes.registry_disk import repository_folder
from tests.support.system import SHOP, Make

STEPS = 25


class Killed(BaseException):
    """The end of a process by kill -9: the work of `finally` is not done."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, at: int, *, done: bool) -> Iterator[list[int]]:
    """A life that ends at a step: at a call to Redis, or a step on the disk. Yields the steps that were taken."""
    taken: list[int] = []

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            if threading.current_thread().name.startswith("lease "):
                return real(*args, **options)
            taken.append(len(taken))
            if len(taken) > at + 1 or (len(taken) == at + 1 and not done):
                raise Killed
            result = real(*args, **options)
            if len(taken) > at:
                raise Killed
            return result

        return step

    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "_PARALLEL", 1)
        for owner, name in (
            (Connection, "script"), (Quarantine, "add_tag"), (Quarantine, "add_manifest"),
            (Quarantine, "settle"), (quarantine, "_remove"), (quarantine, "_unlink"),
        ):  # fmt: skip
            patched.setattr(owner, name, mortal(getattr(owner, name)))
        yield taken


# Before a step all is as it was after the one before it.
@pytest.mark.parametrize("done", [pytest.param(False, marks=pytest.mark.deep), True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(STEPS))
def test_wherever_a_worker_dies_the_next_one_ends_its_work(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: int, done: bool
) -> None:
    system = on_disk(keep_last(1, protect=["latest"]), delete={"via": "storage", "parallel": 1})
    for tag, seed in (("v1", "one"), ("latest", "one"), ("v2", "two"), ("v2b", "two"), ("v3", "three"), ("v4", "four")):
        system.registry.push_image(SHOP, tag, seed=seed, layers=0)
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    with dying(monkeypatch, at, done=done) as taken, suppress(Killed):
        deleting.delete(system.wiring, SHOP)
    assert len(taken) > at, "it lives longer than its work takes"
    monkeypatch.setattr(quarantine, "_ABANDONED_S", -10.0)
    client, keys = system.store.connection.client, system.store.connection.keys
    client.delete(keys.of("writers"), keys.of("lease", f"delete:{SHOP}"))
    system.later()
    system.push("v5")
    system.settle()
    system.later()
    assert system.tags() == {"latest", "v5"}
    assert len(system.registry.manifests(SHOP)) == 2
    system.pull_whole("latest")
    pruned = {entry.tag for entry in system.store.history.entries(SHOP) if entry.action == "pruned"}
    assert pruned >= {"v1", "v2", "v2b", "v3", "v4"}
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"latest", "v5"}
    assert not (repository_folder(tmp_path / "registry", SHOP) / FOLDER).exists()


def test_the_leftovers_of_a_dead_worker_are_settled_although_nothing_more_is_deleted(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The worker's marker is listed as a tag, and a push wrote into a folder that was set aside."""
    system = on_disk(keep_last(9), reconcile={"rate": 100_000})
    pushed = system.registry.push_image(SHOP, "v1")
    batch = system.wiring.registry.deletion.open(SHOP)
    stood = system.registry.push_image(SHOP, "v2")
    link = system.storage.tag_folder(SHOP, "v2") / "current" / "link"
    with link.open("r+") as pushing:
        batch.untag("v2", (stood,))
        pushing.write(pushed)
    (link.parents[2] / f"{quarantine.SIGN}left").mkdir()
    monkeypatch.setattr(quarantine, "_ABANDONED_S", -10.0)
    system.store.reconcile_runs.request(reconciliation.MANUAL)
    reconcile_run.continue_run(system.wiring)
    assert system.registry.tags(SHOP) == {"v1": pushed, "v2": pushed}
    assert not (repository_folder(tmp_path / "registry", SHOP) / FOLDER).exists()
    assert not list(link.parents[2].glob(f"{quarantine.SIGN}*"))
    assert {tag.name: tag.digest for tag in system.store.history.live(SHOP)} == {"v1": pushed, "v2": pushed}
