"""Online collections every two seconds under pushes without pause: nothing breaks, and no push fails or waits long."""

from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Live, last, wait_until
from tests.live.load import Load, broken, every, for_at_least

KEPT = 4
LONGEST_WAIT_S = 2.0


def test_an_image_can_be_restored_after_the_next_collection(live: Live) -> None:
    gc = {"collector": "online", "online_preview": True, "gate": "proxy", "settle": 0, "youth": 1, "grace": "1h"}
    system = live(policy=last(1), gc=gc)
    digest = system.pusher.push_image("shop/api", "v1")
    system.start_worker("enforce,delete")
    system.start_worker("garbage")
    system.pusher.push_image("shop/api", "v2")
    wait_until(lambda: system.tags("shop/api") == {"v2"}, "v1 is not deleted")
    garbage = system.store.collections

    def unlinks() -> bool:
        if garbage.requested() is None:
            garbage.request("by hand")
        return any(run.unlinked for run in garbage.runs())

    wait_until(unlinks, "nothing is unlinked")
    wait_until(lambda: not system.store.leases.collecting() and garbage.requested() is None, "it does not end")
    system.wiring.restore.restore("shop/api", tag="v1")
    assert system.pusher.pull_whole("shop/api", "v1") == digest


# Red at times: a tag of an image that was pushed under two names had no manifest (1 of 541 pushes). It is not known yet
# if the collection deleted the manifest, or if a deletion by policy met a push, which healing repairs. Until that is
# known, online collections are a preview.
@pytest.mark.deep
@pytest.mark.parametrize("seconds", [12, 90])
def test_online_collections_break_no_image_and_fail_no_push(live: Live, tmp_path: Path, seconds: int) -> None:
    gc = {"collector": "online", "online_preview": True, "gate": "proxy", "settle": 0, "youth": 3, "grace": 1}
    system = live(policy=last(KEPT), gc=gc)
    system.start_worker("enforce,delete")
    system.start_worker("garbage")
    garbage = system.store.collections

    def done() -> list[Any]:
        return [run for run in garbage.runs(1000) if run.result == "done" and run.blobs]

    def push(repository: str, tag: str, source: Path) -> None:
        system.skopeo_push(repository, tag, source=source)

    with Load(system.url, tmp_path, push) as load:
        collections = every(2, lambda: garbage.request("stress"), load.over)
        for_at_least(seconds, lambda: len(done()) >= 2, at_most_s=seconds + 120)
    collections.join()
    counted = system.wiring.registry.debug
    assert counted is not None
    wait_until(lambda: not counted.undelivered(), "the last pushes are not told")
    wait_until(lambda: system.quiet() and not garbage.requested(), "it does not get quiet")
    runs = garbage.runs(1000)
    message = f"{load.pushed} pushes, {len(runs)} runs: {sorted({run.message for run in runs})}"
    print(message, sum(run.blobs for run in runs), "blobs deleted,", sum(run.unlinked for run in runs), "unlinked")
    print({run.note for run in runs})
    assert load.failed == [], message
    assert list(broken(system.registry.url)) == [], message
    assert {run.result for run in runs} <= {"done", "postponed"}, message
    assert sum(run.blobs for run in runs), "nothing was ever deleted"
    for repository, tag in load.last.values():
        assert tag in system.tags(repository), f"{repository}:{tag} is gone"
