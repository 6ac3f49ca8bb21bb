"""Cases in which peers lose images, on the real registry: nothing kept is lost, all else is deleted.

Each test says which tags remain, and over which image. Each of these must be whole to the last child and blob, and no
other manifest may be left in the registry: no child, no referrer, no tombstone. No rule says anything of `untagged`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.oci.manifest import DOCKER_LIST, OCI_INDEX
from tests.fakes.images import Image, index_over, make_image, make_index, oci_layout
from tests.fakes.real_registry import require_registry
from tests.live.conftest import Live, LiveSystem, last, wait_until


def keeping_3(repositories: str, **more: Any) -> dict[str, Any]:
    """A rule that keeps 3 tags in each of these repositories."""
    return {"name": repositories.partition("/")[0], "repos": repositories, "keep": {"last": 3}, **more}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """One system with a worker for all tests: each uses repositories of its own."""
    require_registry()
    policy = last(3, rules=[keeping_3("pushed/*"), keeping_3("created/*", order="created")])
    with ExitStack() as stack:
        system = LiveSystem(tmp_path_factory.mktemp("peers"), stack, {"policy": policy})
        system.start_worker()
        yield system


def push_all(system: LiveSystem, repository: str, images: Iterable[tuple[str, Image]]) -> None:
    """Push one tag after the other, so that the order of the pushes is this one."""
    for tag, image in images:
        assert system.pusher.push(repository, tag, image) == image.digest


def held(image: Image) -> set[str]:
    """The digests of a manifest and of all manifests below it."""
    return {image.digest}.union(*(held(child) for child in image.children))


def remain_exactly(system: LiveSystem, repository: str, kept: Mapping[str, Image]) -> None:
    """Wait by looking at the storage: a request to the registry for a manifest counts as a pull."""
    manifests = set[str]().union(*(held(image) for image in kept.values()))

    def found() -> tuple[set[str], set[str]]:
        return set(system.registry.tag_names(repository)), set(system.registry.manifests(repository))

    def settled() -> bool:
        return found() == (set(kept), manifests) and system.quiet() and system.heard(repository, set(kept))

    try:
        wait_until(settled, "it does not come to rest")
    except AssertionError:
        tags, there = found()
        assert (kept.keys() - tags, manifests - there) == (set(), set()), "LOST: a tag or manifest that is kept"
        assert (tags - kept.keys(), there - manifests) == (set(), set()), "LEFT: a tag or manifest that should be gone"
        raise
    assert system.tags(repository) == set(kept)
    for tag, image in kept.items():
        assert system.pusher.pull_whole(repository, tag) == image.digest


def test_the_oldest_and_the_newest_tag_share_a_digest(live: Live) -> None:
    """Counted by digests, the oldest tag is kept with its image; counted by tags, only the tag is deleted."""
    system = live(policy=last(3, rules=[keeping_3("digests/*", count="digests"), keeping_3("tags/*", count="tags")]))
    shared, *others = (make_image(f"shared {number}") for number in range(5))
    images = [("v1", shared), *zip(("v2", "v3", "v4", "v5"), others, strict=True), ("v6", shared)]
    for repository in ("digests/api", "tags/api"):
        push_all(system, repository, images)
    system.start_worker()
    kept = {"v4": others[2], "v5": others[3], "v6": shared}
    remain_exactly(system, "digests/api", kept | {"v1": shared})
    remain_exactly(system, "tags/api", kept)


@pytest.mark.parametrize("order", ["pushed", "created"])
def test_images_created_at_the_same_moment_are_deleted_by_their_push(system: LiveSystem, order: str) -> None:
    repository = f"{order}/same"
    created = datetime(2026, 1, 1, tzinfo=UTC)
    images = {name: make_image(name, created=created) for name in ("zeta", "mike", "alfa", "yank", "kilo", "bravo")}
    push_all(system, repository, images.items())
    remain_exactly(system, repository, {name: images[name] for name in ("yank", "kilo", "bravo")})


@pytest.mark.parametrize(
    ("repository", "media_type"), [("pushed/docker-list", DOCKER_LIST), ("pushed/oci-index", OCI_INDEX)]
)
def test_a_kept_index_is_whole_and_a_deleted_one_takes_its_children_along(
    system: LiveSystem, repository: str, media_type: str
) -> None:
    lists = {f"v{number}": make_index(number, platforms=3, media_type=media_type) for number in range(6)}
    push_all(system, repository, lists.items())
    remain_exactly(system, repository, {tag: lists[tag] for tag in ("v3", "v4", "v5")})


def signature(image: Image) -> tuple[str, Image]:
    """(tag, image) as cosign signs: another image under a tag that names the digest."""
    return image.digest.replace(":", "-") + ".sig", make_image(f"signature of {image.digest}")


def attachment(image: Image) -> tuple[str, Image]:
    """(tag, index) as oras attaches: an artifact with a subject, listed in the index under the fallback tag."""
    artifact = make_image(f"bill of materials of {image.digest}", subject=image)
    return image.digest.replace(":", "-"), index_over([artifact], seed=f"about {image.digest}")


@pytest.mark.parametrize("of", [signature, attachment])
def test_a_referrer_of_a_kept_image_is_kept_and_that_of_a_deleted_one_is_deleted(
    system: LiveSystem, of: Callable[[Image], tuple[str, Image]]
) -> None:
    repository = f"pushed/{of.__name__}"
    images = [make_image(f"image {number}") for number in range(5)]
    for number, image in enumerate(images):
        push_all(system, repository, [(f"v{number}", image), of(image)])
    kept = images[2:]
    remain_exactly(system, repository, dict(zip(("v2", "v3", "v4"), kept, strict=True)) | dict(map(of, kept)))


def test_signatures_pushed_by_skopeo_live_and_die_with_an_index_and_with_its_children(
    system: LiveSystem, tmp_path: Path
) -> None:
    """The signatures are those of `cosign sign --recursive`: one for the index, one for each of its parts."""
    repository = "pushed/signed"
    lists = {f"v{number}": make_index(number) for number in range(5)}
    signed = {tag: dict(map(signature, (index, *index.children))) for tag, index in lists.items()}
    for tag, index in lists.items():
        push_all(system, repository, [(tag, index)])
        for name, image in signed[tag].items():
            system.skopeo_push(repository, name, source=oci_layout(tmp_path / name, image))
    kept = ("v2", "v3", "v4")
    signatures = {name: image for tag in kept for name, image in signed[tag].items()}
    remain_exactly(system, repository, {tag: lists[tag] for tag in kept} | signatures)
