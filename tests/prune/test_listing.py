"""Deletions while the registry may hide tags: no manifest is deleted by its digest, as a hidden tag may point at it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.errors import NotDeletable
from service.domain.policy.model import Policy
from service.domain.retention.selector import TagSelector
from service.prune import listing, manual
from service.reconcile import compare
from service.registry.listing import ABOUT, HIDDEN_TAG
from service.registry.probe import REPOSITORY
from service.store.capabilities import Capabilities
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System

IS_WHOLE = listing.is_whole
OURS = "pushprune/"


@pytest.fixture(autouse=True)
def tried(whole_listings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "is_whole", IS_WHOLE)


def hiding(make_system: Make, policy: Policy | None = None, **more: Any) -> System:
    return make_system(policy or keep_last(1), "3.1.1", {"driver": "s3"}, **more)


def requests_of_a_try(system: System) -> list[tuple[str, int]]:
    requests = [request for request in system.registry.requests if f"/{REPOSITORY}/" in request.path]
    return [(request.method, request.status) for request in requests]


def test_the_image_of_a_protected_tag_that_is_not_listed_is_kept(make_system: Make) -> None:
    """`rel` and `rel2` point at one old image, on a registry whose notifications were not received."""
    system = hiding(make_system, keep_last(1, protect=["rel2"]), reconcile={"late": "0s"})
    system.deaf = True
    for tag, seed, day in (("rel", "old", 1), ("rel2", "old", 1), ("v1", "new", 2)):
        system.registry.push_image(SHOP, tag, seed=seed, at=datetime(2026, 1, day, tzinfo=UTC))
    image = system.registry.tags(SHOP)["rel2"]
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.store.outbox.mark_due([SHOP])
    system.later()
    assert system.registry.tags(SHOP).keys() == {"rel2", "v1"}
    assert image in system.registry.manifests(SHOP)


def test_only_tags_are_deleted_and_one_sentence_says_why_and_what_to_do(make_system: Make) -> None:
    system = hiding(make_system)
    system.push("v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    system.settle()
    assert system.tags() == {"v2"}
    assert digest in system.registry.manifests(SHOP)
    assert system.registry.count(OURS, "DELETE", f"{SHOP}/manifests/sha256") == 0
    (trouble,) = system.store.outbox.troubles()
    assert trouble.about == "listing"
    assert "leaves tags out of its listings" in trouble.message
    assert "Upgrade the registry" in trouble.message
    assert "a tag that the registry may not list may use it" in system.reasons()["v1"]


def test_the_images_are_deleted_once_the_registry_lists_every_tag(make_system: Make) -> None:
    system = hiding(make_system)
    system.push("v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    system.settle()
    system.registry.storage.version = "3"
    system.registry.notifier.instance = "upgraded"
    system.push("v3")
    system.settle()
    assert digest not in system.registry.manifests(SHOP)
    assert list(system.registry.manifests(SHOP)) == [system.registry.tags(SHOP)["v3"]]
    assert system.store.outbox.troubles() == ()


def test_a_tag_that_was_untagged_only_can_be_restored(make_system: Make) -> None:
    system = hiding(make_system)
    system.push("v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    assert system.registry.tags(SHOP)["v1"] == digest


def test_a_digest_that_a_user_names_is_kept_with_the_reason(make_system: Make) -> None:
    system = hiding(make_system)
    system.push("v1", "v2")
    system.settle()
    (untagged,) = system.registry.manifests(SHOP).keys() - set(system.registry.tags(SHOP).values())
    with pytest.raises(NotDeletable, match="a tag that the registry may not list may point at it"):
        manual.resolve_requests(
            system.store, system.wiring.registry, system.wiring.policies, (TagSelector(SHOP, digest=untagged),)
        )


@pytest.mark.parametrize(("version", "driver"), [("3", "s3"), ("3.1.1", "filesystem")])
def test_a_registry_that_lists_every_tag_is_tried_once_per_start(make_system: Make, version: str, driver: str) -> None:
    system = make_system(keep_last(1), version, {"driver": driver})
    system.push("v1", "v2", "v3")
    system.settle()
    assert system.tags() == {"v3"}
    assert len(system.registry.manifests(SHOP)) == 1
    assert requests_of_a_try(system) == [
        ("DELETE", 404), ("PUT", 201), ("PUT", 201), ("GET", 200), ("DELETE", 202)
    ]  # fmt: skip
    assert system.registry.manifests(REPOSITORY) == {}
    assert system.registry.tags(REPOSITORY) == {}
    system.push("v4")
    system.settle()
    assert len(requests_of_a_try(system)) == 5
    system.registry.notifier.instance = "restarted"
    system.push("v5")
    system.settle()
    assert len(requests_of_a_try(system)) == 10


def test_a_single_refused_request_proves_version_2_8_and_no_other_is_sent(make_system: Make) -> None:
    system = make_system(keep_last(1), "2.8")
    system.push("v1", "v2")
    system.settle()
    assert system.tags() == {"v2"}
    assert requests_of_a_try(system) == [("DELETE", 400)]


def test_the_listing_is_not_tried_if_the_storage_is_mounted(on_disk: Make) -> None:
    system = on_disk(keep_last(1), "3.1.1", delete={"via": "api"})
    system.push("v1", "v2")
    system.settle()
    assert system.tags() == {"v2"}
    assert requests_of_a_try(system) == []


def forbid(system: System, method: str, *, status: int = 403, times: int | None = None) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
    system.registry.fail_next(method, REPOSITORY, status=status, body=body, times=times)


@pytest.mark.parametrize("method", ["PUT", "*"])
def test_only_tags_are_deleted_if_the_listing_cannot_be_tried_and_the_trouble_names_the_rights(
    make_system: Make, method: str
) -> None:
    system = make_system(keep_last(1), "3.1.1")
    forbid(system, method)
    system.push("v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    system.settle()
    assert system.tags() == {"v2"}
    assert digest in system.registry.manifests(SHOP)
    (trouble,) = system.store.outbox.troubles()
    assert "the test that the registry lists every tag failed" in trouble.message
    assert f"push and delete in {REPOSITORY}" in trouble.message


def test_version_2_8_is_recognised_without_rights_in_the_probe_repository(make_system: Make) -> None:
    system = make_system(keep_last(1), "2.8")
    forbid(system, "*")
    system.push("v1", "v2")
    system.settle()
    assert len(system.registry.manifests(SHOP)) == 1
    assert system.store.outbox.troubles() == ()


def test_the_listing_is_tried_again_after_a_while_and_the_trouble_ends(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Capabilities, "HIDES_FOR_MS", 0)
    system = make_system(keep_last(1), "3.1.1")
    forbid(system, "PUT", times=1)
    system.push("v1", "v2")
    system.settle()
    assert len(system.registry.manifests(SHOP)) == 1
    assert system.store.outbox.troubles() == ()


def test_a_registry_that_does_not_answer_deletes_nothing(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1")
    system.registry.fail_next("GET", f"{REPOSITORY}/tags/list", status=503)
    system.push("v1", "v2")
    system.work(5)
    assert system.tags() == {"v1", "v2"}
    assert system.registry.tags(REPOSITORY) == {}
    system.later()
    assert system.tags() == {"v2"}
    assert len(system.registry.manifests(SHOP)) == 1


def test_nothing_is_deleted_until_the_lease_of_a_worker_that_died_during_the_try_ends(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_WAIT_S", 0.0)
    system = make_system(keep_last(1), "3.1.1")
    system.push("v1", "v2")
    with system.store.leases.hold(ABOUT):
        system.work(5)
        assert system.tags() == {"v1", "v2"}
    system.later()
    assert system.tags() == {"v2"}


def test_tags_that_vanish_during_the_try_prove_nothing(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1")
    system.registry.before(
        "GET", f"{REPOSITORY}/tags/list", lambda: system.registry.storage.delete_tag(REPOSITORY, HIDDEN_TAG)
    )
    system.push("v1", "v2")
    system.work(5)
    assert "listing" not in {trouble.about for trouble in system.store.outbox.troubles()}
    system.later()
    assert len(system.registry.manifests(SHOP)) == 1


def test_disabled_deletes_are_reported(make_system: Make) -> None:
    system = make_system(keep_last(1), "3.1.1", {"delete_enabled": False})
    system.push("v1", "v2")
    system.work()
    assert system.tags() == {"v1", "v2"}
    (trouble,) = system.store.outbox.troubles()
    assert "deletes disabled" in trouble.message
