"""Referrers: signatures and the like live and die with the image they are about."""

import json

import pytest

from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import Image, make_image
from tests.support.makers import policy
from tests.support.pushes import attach, sign
from tests.support.system import SHOP, Make, untag_first


def test_an_attached_artifact_and_its_fallback_index_are_deleted_after_their_image(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: last, keep: {last: 1}, untagged: 0s}]\nhold_over: 100%"))
    old, new = make_image("old"), make_image("new")
    system.registry.push(SHOP, "v1", old)
    attach(system, old)
    system.registry.push(SHOP, "v2", new)
    tag, artifact = attach(system, new)
    system.settle()
    assert system.tags() == {"v2", tag}
    assert set(system.registry.manifests(SHOP)) == {new.digest, artifact.digest, system.registry.tags(SHOP)[tag]}


def test_a_referrer_with_the_config_of_an_image_is_deleted_after_its_image(make_system: Make) -> None:
    """No event tells of a subject, and by its config it looks like an image."""
    system = make_system(keep_last(1), fake={"references": True})
    old, new = make_image("old"), make_image("new")
    system.registry.push(SHOP, "v1", old)
    system.registry.push(SHOP, None, make_image("about old", subject=old))
    kept = make_image("about new", subject=new)
    system.registry.push(SHOP, "v2", new)
    system.registry.push(SHOP, None, kept)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {new.digest, kept.digest}


def test_a_manifest_without_a_tag_that_cannot_be_read_is_kept_and_stops_nothing(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    image = make_image("strange")
    body = json.loads(image.manifest)
    body["layers"][0]["size"] = "many"
    strange = Image(image.media_type, json.dumps(body).encode(), image.blobs)
    system.registry.push(SHOP, None, strange)
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    assert strange.digest in system.registry.manifests(SHOP)


def test_a_referrer_whose_image_exists_again_is_kept(make_system: Make) -> None:
    system = make_system(keep_last(1))
    image = make_image("image")
    system.registry.push(SHOP, "v1", image)
    signature = sign(system, "v1")
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    deleting.delete(system.wiring, SHOP)
    system.registry.push(SHOP, "back", image)
    system.settle()
    assert system.tags() == {"back", signature}


@pytest.mark.parametrize("tags_first", [True, False])
def test_signatures_whose_images_are_back_without_an_event_are_kept_and_looked_up_once(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, tags_first: bool
) -> None:
    """The pushes of the images are lost: only the registry knows that they are there."""
    untag_first(monkeypatch, tags_first)
    system = make_system(keep_last(1))
    images = [make_image(seed) for seed in ("a", "b")]
    signatures = set()
    for image in images:
        system.registry.push(SHOP, f"v{image.digest[-4:]}", image)
        signatures.add(sign(system, f"v{image.digest[-4:]}"))
    system.push("v2")
    system.messages.sent.clear()
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    deleting.delete(system.wiring, SHOP)
    planning.enforce(system.wiring, SHOP)
    system.deaf = True
    for image in images:
        system.registry.push(SHOP, None, image)
    system.missed.clear()
    system.deaf = False
    assert {tag for doomed in system.store.history.doomed(SHOP) for tag in doomed.tags} == signatures
    system.settle()
    assert system.tags() == {"v2", *signatures}


def test_a_referrer_whose_push_was_not_reported_is_deleted_after_its_image_where_the_storage_is_mounted(
    on_disk: Make,
) -> None:
    system = on_disk(keep_last(1))
    old, new = make_image("old"), make_image("new")
    about_old, about_new = make_image("about old", subject=old), make_image("about new", subject=new)
    unrelated = make_image("unrelated")
    system.registry.push(SHOP, "v1", old)
    system.deaf = True
    for image in (about_old, about_new, unrelated):
        system.registry.push(SHOP, None, image)
    system.deaf = False
    system.missed.clear()
    system.registry.push(SHOP, "v2", new)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {new.digest, about_new.digest, unrelated.digest}


def test_a_referrer_with_a_tag_of_its_own_is_kept_although_its_image_never_existed(make_system: Make) -> None:
    """The event of its push says nothing of its subject, so the plan takes it for an image."""
    system = make_system(keep_last(1))
    system.registry.push(SHOP, "v1", make_image("about", subject=make_image("never pushed")))
    system.push("v2")
    system.settle()
    assert system.tags() == {"v1", "v2"}
