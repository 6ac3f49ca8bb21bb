"""Restore: a deleted image comes back whole, with its original push time, or is refused in one sentence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import NotRestorable
from service.restore.restoring import LEASE_S
from service.store.lease import COLLECT
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image, make_index
from tests.fakes.pusher import Pusher
from tests.support.deletions import ago, live, pruned
from tests.support.system import SHOP, Make, untag_first

both = pytest.mark.parametrize("version", ["2.8", "3"])


def test_no_policy_deletes_it_again_for_a_day(make_system: Make) -> None:
    system = pruned(make_system)
    undone = system.wiring.restore.restore(SHOP, tag="v1")
    assert undone.kept_until_us is not None
    system.push("v3")
    system.later()
    assert system.tags() == {"v1", "v3"}
    connection = system.store.connection
    client: Any = connection.client
    kept_until_s = client.zscore(connection.keys.of("restored", SHOP), undone.digest) / 1000
    assert abs(kept_until_s - (datetime.now(UTC).timestamp() + LEASE_S)) < 60


def test_without_a_lease_the_next_plan_deletes_it_again(make_system: Make) -> None:
    system = pruned(make_system)
    assert system.wiring.restore.restore(SHOP, tag="v1", lease_s=0).kept_until_us is None
    assert system.pull_whole("v1")
    system.later()
    assert system.tags() == {"v2"}


@both
def test_an_index_is_restored_with_all_its_parts_and_keeps_them(make_system: Make, version: str) -> None:
    inner = make_index("inner", platforms=2)
    system = pruned(make_system, index_over([make_image("a"), inner, make_image("b")]), version)
    assert len(system.registry.manifests(SHOP)) == 1
    undone = system.wiring.restore.restore(SHOP, tag="v1")
    assert undone.parts == 5
    system.pull_whole("v1")
    system.later()
    system.pull_whole("v1")
    assert [image.tag for image in system.wiring.restore.deleted(SHOP)] == []


def test_a_signature_is_restored_with_its_image(make_system: Make) -> None:
    image = make_image("one")
    system = make_system(keep_last(1))
    signature = f"sha256-{image.digest.removeprefix('sha256:')}.sig"
    system.registry.push(SHOP, "v1", image)
    system.registry.push_image(SHOP, signature)
    system.push("v2")
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    undone = system.wiring.restore.restore(SHOP, tag="v1")
    assert undone.referrers == (signature,)
    assert system.tags() == {"v1", "v2", signature}
    system.later()
    system.pull_whole(signature)


def test_a_signature_that_was_made_anew_is_not_replaced_although_the_tag_is_forced(make_system: Make) -> None:
    image = make_image("one")
    system = pruned(make_system, image)
    signature = f"sha256-{image.digest.removeprefix('sha256:')}.sig"
    system.registry.push_image(SHOP, signature)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    system.registry.push(SHOP, "v3", image)
    system.push("v1")
    system.deaf = True  # else healing would mend it
    newer = system.registry.push_image(SHOP, signature, seed="signed again")
    assert system.wiring.restore.restore(SHOP, tag="v1", force=True).referrers == ()
    assert (system.registry.tags(SHOP)["v1"], system.registry.tags(SHOP)[signature]) == (image.digest, newer)


def test_under_another_name_the_old_one_stays_as_it_is(make_system: Make) -> None:
    system = pruned(make_system)
    again = system.registry.push_image(SHOP, "v1", seed="again")
    system.settle()
    undone = system.wiring.restore.restore(SHOP, tag="v1", as_tag="rescued")
    assert undone.tags == ("rescued",)
    assert system.registry.tags(SHOP)["v1"] == again
    assert system.pull_whole("rescued") == make_image("one").digest


def test_a_tag_that_was_pushed_again_is_not_overwritten_unless_forced(make_system: Make) -> None:
    system = pruned(make_system)
    again = system.registry.push_image(SHOP, "v1", seed="again")
    with pytest.raises(NotRestorable, match=r"was pushed again since .*--as TAG.*--force"):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.tags(SHOP)["v1"] == again
    system.wiring.restore.restore(SHOP, tag="v1", force=True)
    assert system.registry.tags(SHOP)["v1"] == make_image("one").digest
    system.later()
    assert system.registry.tags(SHOP)["v1"] == make_image("one").digest


def test_a_digest_is_restored_with_every_tag_that_was_deleted_with_it(make_system: Make) -> None:
    system = make_system(keep_last(1))
    for tag in ("v1", "stable"):
        system.registry.push(SHOP, tag, make_image("one"))
    system.push("v2")
    system.settle()
    undone = system.wiring.restore.restore(SHOP, digest=make_image("one").digest)
    assert set(undone.tags) == {"v1", "stable"}
    assert system.tags() == {"v1", "stable", "v2"}


def test_a_tag_that_was_deleted_alone_is_restored(make_system: Make) -> None:
    system = make_system(keep_last(1, protect=["latest"]))
    for tag in ("v1", "latest"):
        system.registry.push(SHOP, tag, make_image("one"))
    system.push("v2")
    system.settle()
    assert system.tags() == {"latest", "v2"}
    system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.tags(SHOP)["v1"] == make_image("one").digest
    system.later()
    assert system.tags() == {"v1", "latest", "v2"}


def test_no_incomplete_image_is_restored_after_a_collection_by_another_program(make_system: Make) -> None:
    system = pruned(make_system, make_index("multi"))
    assert system.registry.collect()
    before = system.registry.count("pushprune/", "PUT")
    with pytest.raises(
        NotRestorable, match=r"its layer sha256:.* was deleted by a garbage collection; push the image again"
    ):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.count("pushprune/", "PUT") == before
    assert system.tags() == {"v2"}


def test_a_process_without_the_storage_tells_where_to_restore_after_an_online_collection(
    make_system: Make, tmp_path: Path
) -> None:
    """Only a process that sees the storage can write a link again."""
    system = pruned(
        make_system,
        gc={"collector": "online", "gate": "proxy"},
        storage={"path": tmp_path / "not mounted here"},
        registry={"debug_url": "http://127.0.0.1:1"},
    )
    assert system.registry.collect()
    with pytest.raises(NotRestorable, match="run `pushprune restore` where the storage is mounted read-write"):
        system.wiring.restore.restore(SHOP, tag="v1")
    assert system.tags() == {"v2"}


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("v2", "shop/api:v2 exists"),
        ("v9", "shop/api:v9 was not deleted by pushprune; `pushprune trash shop/api` lists"),
    ],
)
def test_a_restore_of_an_image_that_was_not_deleted_is_refused(make_system: Make, tag: str, sentence: str) -> None:
    system = pruned(make_system)
    with pytest.raises(NotRestorable, match=sentence):
        system.wiring.restore.restore(SHOP, tag=tag)


def test_a_restore_is_refused_during_a_collection(make_system: Make) -> None:
    system = pruned(make_system)
    with (
        system.store.leases.hold(COLLECT),
        pytest.raises(
            NotRestorable, match="a garbage collection is running or about to start: try again when it has finished"
        ),
    ):
        system.wiring.restore.restore(SHOP, tag="v1")


def test_a_delete_that_was_still_on_its_way_is_healed(make_system: Make) -> None:
    """The image is restored between the DELETE of the manifest and that of its tags."""
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", make_image("one"))
    system.push("v2")
    system.messages.sent.clear()
    system.messages.enforce(SHOP)

    def restore() -> None:
        Pusher(system.registry.url, agent=system.agent).put(
            SHOP, "v1", make_image("one").media_type, make_image("one").manifest
        )

    system.registry.during_delete(restore)
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    system.later()
    assert system.pull_whole("v1")
    assert live(system, "v1") is not None


def test_an_image_restored_in_the_middle_of_a_large_deletion_is_kept(make_system: Make, monkeypatch: Any) -> None:
    """The tag is untagged already, and the digest is still to be deleted."""
    untag_first(monkeypatch)
    system = make_system(keep_last(1))
    for number in range(5):
        system.registry.push(SHOP, f"v{number}", make_image(number), at=ago(1) + timedelta(seconds=number))
    digest = make_image(3).digest
    restored: list[object] = []
    system.registry.before(
        "DELETE", make_image(0).digest, lambda: restored.append(system.wiring.restore.restore(SHOP, tag="v3"))
    )
    system.settle()
    system.later()
    assert restored
    assert system.tags() == {"v3", "v4"}
    assert system.pull_whole("v3") == digest
