"""Online collections find and delete what the real registry leaves: uploads, dangling tags, links, repositories."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from service.collect import run as collect_run
from service.collect.online.checks import Checks
from service.domain.collection.garbage import Garbage
from service.wiring import Wiring
from tests.fakes.images import image_over
from tests.fakes.slow_s3 import SlowS3
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.online import hasty

GC = {"collector": "online", "gate": "proxy", "settle": 0, "leftovers": "delete"}
SHARED, OWN = b"a layer of two repositories", b"a layer of one"
KEPT, DELETED = image_over([SHARED], 1), image_over([SHARED, OWN], 2)


@pytest.fixture(autouse=True)
def hasty_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checks, "look_again_s", 0.2)
    monkeypatch.setattr("service.registry.bucket_deletion._ABANDONED_US", 0)


def worker_of(system: LiveSystem) -> Wiring:
    """A worker to which everything is old after seconds."""
    settings = system.wiring.settings
    gc = settings.gc.model_copy(update={"uploads_after": 3})
    return hasty(settings.model_copy(update={"gc": gc}), grace=1, youth=3)


def begin_upload(system: LiveSystem) -> str:
    """Send half of a layer, and return the place of the upload."""
    begun = requests.post(urljoin(system.url, "/v2/shop/api/blobs/uploads/"), timeout=60)
    sent = requests.patch(begun.headers["Location"], data=b"half of a layer", timeout=60)
    assert sent.status_code == 202
    return sent.headers["Location"]


def leave(system: LiveSystem) -> str:
    """A repository without an image, a link that only a deleted image needed, and an upload that never ends."""
    system.pusher.push("shop/api", "v1", KEPT)
    digest = system.pusher.push("team/gone", "v1", DELETED)
    assert system.pusher.delete("team/gone", digest) == 202
    return begin_upload(system)


def collect_until_deleted(system: LiveSystem, *kinds: str) -> None:
    worker = worker_of(system)
    collections = system.store.collections

    def is_done() -> bool:
        collections.request("by hand")
        collect_run.collect(worker)
        known: Garbage | None = system.store.garbage.last()
        notes = " ".join(run.note for run in system.store.collection_runs.latest(1000))
        return known is not None and not known.leftovers and all(kind in notes for kind in kinds)

    wait_until(is_done, "leftovers remain")


def is_unknown(system: LiveSystem, upload: str) -> bool:
    return requests.patch(upload, data=b"the rest", timeout=60).status_code == 404


def test_emptied_repositories_and_uploads_are_deleted_and_pushes_go_on(live: Live) -> None:
    system = live(policy=last(9), gc=GC)
    upload = leave(system)
    collect_until_deleted(system, "abandoned upload", "unused layer link", "emptied repository")
    catalog = requests.get(f"{system.registry.url}/v2/_catalog", timeout=60).json()
    assert catalog["repositories"] == ["shop/api"]
    assert is_unknown(system, upload)
    assert not list((Path(system.registry.storage_path) / "docker").rglob("gone/*"))
    for repository in ("shop/api", "team/gone"):
        system.pusher.push(repository, "v2", DELETED)
        assert system.pusher.pull_whole(repository, "v2") == DELETED.digest


def test_dangling_tags_and_links_in_a_bucket_are_deleted(live: Live) -> None:
    with SlowS3({}, "some/folder") as server:
        system = live(policy=last(9), gc=GC, storage=server.settings, registry_config=server.config)
        upload = leave(system)
        main = system.pusher.push_image("shop/web", "main", seed="main")
        other = system.pusher.push_image("shop/web", "main-1", seed="other")
        assert system.pusher.delete("shop/web", main) == 202
        assert system.tags("shop/web") == {"main", "main-1"}, "2.8.3 leaves the tag behind"
        collect_until_deleted(system, "abandoned upload", "unused layer link", "dangling tag")
        assert system.tags("shop/web") == {"main-1"}
        assert system.pusher.pull_whole("shop/web", "main-1") == other
        assert system.pusher.pull_whole("shop/api", "v1") == KEPT.digest
        assert is_unknown(system, upload)
        left = [stored.key for stored in server.objects().list("docker") if "team/gone" in stored.key]
        assert left == []
        system.pusher.push("team/gone", "v2", DELETED)
        assert system.pusher.pull_whole("team/gone", "v2") == DELETED.digest
