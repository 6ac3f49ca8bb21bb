"""References are learnt from manifests that the workers fetch anyway, and cost the registry no request."""

from datetime import UTC, datetime

from service.prune import deleting, planning
from service.store.keys import short
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image, sha256
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System, doomed_system

NEWEST = policy("rules: [{name: made, order: created, keep: {last: 1}}]")


def known(system: System) -> dict[str, tuple[tuple[str, int], ...]]:
    return system.store.facts.layers(SHOP)


def layers(image: Image) -> tuple[tuple[str, int], ...]:
    return tuple((short(sha256(blob))[:8], len(blob)) for blob in image.blobs)


def test_an_image_that_was_dated_is_known(make_system: Make) -> None:
    system = make_system(NEWEST)
    images = [make_image(day, created=datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2)]
    for image in images:
        system.registry.push(SHOP, f"v{images.index(image)}", image)
    planning.enforce(system.wiring, SHOP)
    assert known(system) == {image.digest: layers(image) for image in images}
    assert system.registry.count("pushprune", "GET", "/manifests/") == 2


def test_the_layers_of_the_parts_of_a_dated_index_are_known(make_system: Make) -> None:
    system = make_system(NEWEST)
    part = make_image("amd64")
    system.registry.push(SHOP, "multi", index_over([part]))
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    assert known(system)[part.digest] == layers(part)


def test_a_referrer_that_was_looked_into_is_known(make_system: Make) -> None:
    """The event called it an artifact, or an index, whose manifest alone tells which image it is about."""
    system = make_system(keep_last(1))
    referrer = make_image("signature", subject=make_image("v0"))
    system.registry.push(SHOP, "signed", referrer)
    system.push("v1", "v2")
    before = system.store.history.snapshot(SHOP)
    system.store.connection.client.hset(system.store.connection.keys.of("links", SHOP), referrer.digest, "1 ?")
    assert before.links == {}
    planning.enforce(system.wiring, SHOP)
    assert known(system) == {referrer.digest: layers(referrer)}
    assert system.registry.count("pushprune", "GET", referrer.digest) == 1


def test_the_layers_of_a_healed_image_are_known(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.registry.during_delete(lambda: system.registry.push_image(SHOP, "v1", seed="second"))
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert known(system) == {system.registry.tags(SHOP)["v1"]: layers(make_image("second"))}


def test_the_layers_of_a_deleted_image_are_forgotten(make_system: Make) -> None:
    system = make_system(NEWEST)
    for day in (1, 2):
        image = make_image(day, created=datetime(2026, 1, day, tzinfo=UTC))
        system.registry.push(SHOP, f"v{day}", image)
    system.settle()
    assert (system.tags(), list(known(system))) == ({"v2"}, [image.digest])
