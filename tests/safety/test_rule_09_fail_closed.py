"""Safety rule 9: an image is kept while anything about it is not known for certain."""

import json
from dataclasses import replace

import pytest

from service.domain.errors import RegistryUnavailable
from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.support.makers import planned, policy, tag, us
from tests.support.system import Make


def test_a_wiped_redis_deletes_nothing(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    system.settle()
    connection = system.store.connection
    connection.client.delete(*connection.client.keys(f"{connection.keys.prefix}*"))
    system.push("v3", "v4")
    system.settle()
    assert system.tags() == {"v1", "v2", "v3", "v4"}


def test_a_large_plan_waits_for_approval_and_is_then_carried_out(make_system: Make) -> None:
    policy = keep_last(1).model_copy(update={"hold_over": 50, "hold_min": 2})
    system = make_system(policy)
    system.push("v1", "v2", "v3", "v4")
    system.settle()
    assert system.tags() == {"v1", "v2", "v3", "v4"}
    assert system.store.approvals.held("shop/api") == "it would delete 3 of 4 tags, more than 50% (hold_over)"
    system.push("v5")
    system.settle()
    assert len(system.tags()) == 5
    assert system.store.approvals.approve("shop/api") == 4
    system.store.outbox.mark_due(["shop/api"])
    planning.enforce(system.wiring, "shop/api")
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v5"}


def test_nothing_is_deleted_if_a_page_of_the_tag_list_cannot_be_read(make_system: Make) -> None:
    system = make_system(keep_last(1), "3", fake={"page_size": 2})
    system.push("v1", "v2", "v3")
    system.registry.fail_next("GET", "last=", status=500, times=None)
    with pytest.raises(RegistryUnavailable):
        system.settle()
    assert system.tags() == {"v1", "v2", "v3"}


@pytest.mark.parametrize("media_type", ["application/vnd.oci.image.config.v1+json", "application/vnd.example"])
def test_an_image_whose_subject_is_no_digest_is_kept_without_an_error(make_system: Make, media_type: str) -> None:
    """A registry does not check subjects, and text that is not UTF-8 cannot be stored."""
    system = make_system(keep_last(1))
    for tag_name in ("v0", "v1", "v2"):
        image = make_image(tag_name)
        manifest = json.loads(image.manifest) | {"subject": {"digest": "\ud800"}}
        manifest["config"]["mediaType"] = media_type
        system.registry.push("shop/api", tag_name, replace(image, manifest=json.dumps(manifest).encode()))
    system.work()
    system.later()
    assert system.tags() == {"v0", "v1", "v2"}
    assert not any("fault in pushprune" in trouble.message for trouble in system.store.outbox.troubles())


def test_a_registry_that_restarted_is_compared_before_the_next_delete(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    system.settle()
    system.deaf = True
    system.registry.push_image("shop/api", "v2", seed="moved while nobody listened")
    system.deaf = False
    system.missed.clear()
    system.registry.notifier.instance = "another"
    system.push("v4")
    system.settle()
    assert system.tags() == {"v2", "v3", "v4"}


@pytest.mark.parametrize("rule", ["{keep: none}", "{order: name, keep: {last: 1}}", "{order: semver, keep: {last: 1}}"])
def test_a_tag_of_unknown_push_time_is_kept_also_by_a_rule_without_times(rule: str) -> None:
    """The notification of its push may only be late (`reconcile.late`)."""
    tags = (tag("v1", None, found=True), tag("v2", None, found=True))
    assert planned(tags, policy(f"rules: [{rule}]"), us(100)).doomed == ()
