"""Provoke the races of the real registry: each tag that is lost is restored (service/README.md, safety rule 5)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.fakes.crossing import Crossing
from tests.fakes.images import Image, variant
from tests.fakes.pusher import Pusher
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.races import (
    BASE,
    HISTORY,
    PAIRS,
    PATIENCE_S,
    ROUNDS,
    SHOP,
    Repushes,
    healed,
    hurried,
    no_push_is_unheard,
    pair_of,
    push_until_taken,
    said,
)


@contextmanager
def crossing(live: Live, **settings: object) -> Iterator[tuple[LiveSystem, Crossing]]:
    """A system whose requests to the registry come through a Crossing."""
    with Crossing(lambda write: None) as between:
        system = live(registry={"url": between.url}, history=HISTORY, **settings)
        between.target = system.registry.url
        for blob in BASE.blobs:
            system.pusher.push_blob(SHOP, blob)
        yield system, between


def all_stand(system: LiveSystem, expected: dict[str, str]) -> None:
    """Wait until exactly these tags point at their images, at the registry and in the history, and are whole."""

    def stand() -> bool:
        live = {tag.name: tag.digest for tag in system.store.history.live(SHOP)}
        return (
            hurried(system)
            and live == expected
            and system.quiet()
            and set(system.registry.tag_names(SHOP)) == set(expected)
        )

    wait_until(stand, "a tag is lost, or one is left", PATIENCE_S)
    assert {tag: system.pusher.pull_whole(SHOP, tag) for tag in expected} == expected
    assert system.tags(SHOP) == set(expected)


def test_tags_pushed_again_at_the_moment_their_digest_is_deleted_end_at_their_last_push(live: Live) -> None:
    rule = {"name": "pair", "group": "^(p[0-9]+)-", "keep": {"last": 1}}
    images = {f"p{number}-{item}": variant(BASE, f"p{number}-{item}") for number in range(PAIRS) for item in "ab"}
    with crossing(live, policy=last(1, rules=[rule])) as (system, between):
        repushes = Repushes(system.registry.url, {tag: image.digest for tag, image in images.items()})
        between.meet = repushes.meet
        for tag, image in images.items():
            system.pusher.put(SHOP, tag, image.media_type, image.manifest)
        wait_until(lambda: system.heard(SHOP, set(images)), "the pushes were not heard")
        system.start_worker()
        wait_until(lambda: hurried(system) and all_ended(system, repushes), "it does not go on", PATIENCE_S)
        pushed = repushes.pushed()
        rounds = [item for item in pushed if item.write]
        newest = {pair_of(item.tag): item for item in pushed}
        all_stand(system, {item.tag: item.image.digest for item in newest.values()})
        no_push_is_unheard(system, [(item.tag, item.image.digest) for item in pushed])
        print(said(rounds), f"; {healed(system)} tags were healed")
        assert len(rounds) == ROUNDS
        assert sum(item.overlaps for item in rounds) >= ROUNDS // 10, "the overlap was not provoked"


def all_ended(system: LiveSystem, repushes: Repushes) -> bool:
    return system.quiet() and repushes.all_ended({tag.name for tag in system.store.history.live(SHOP)})


def test_the_tag_pushed_last_of_two_points_at_its_last_push(live: Live) -> None:
    """Each push dooms the other tag, which is being pushed again meanwhile."""
    system = live(policy=last(1), history=HISTORY)
    system.start_worker()
    for blob in BASE.blobs:
        system.pusher.push_blob(SHOP, blob)

    def hammer(tag: str) -> list[tuple[str, Image]]:
        images = [variant(BASE, f"{tag} {number}") for number in range(ROUNDS // 2)]
        with Pusher(system.registry.url) as pusher:
            for image in images:
                push_until_taken(pusher, tag, image)
        return [(tag, image) for image in images]

    with ThreadPoolExecutor(2) as pool:
        pushed = [item for several in pool.map(hammer, ("left", "right")) for item in several]
    newest = variant(BASE, "the last")
    push_until_taken(system.pusher, "left", newest)
    all_stand(system, {"left": newest.digest})
    no_push_is_unheard(system, [(tag, image.digest) for tag, image in (*pushed, ("left", newest))])
