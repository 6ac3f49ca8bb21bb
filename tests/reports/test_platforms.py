"""Platforms: read from the registry once for each digest, and only when asked for."""

from collections.abc import Iterator

import pytest

from service.domain.errors import ConfigurationError
from service.registry.client import RegistryClient
from service.reports.platforms import Platforms
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry

SHOP = "shop/api"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as made:
        yield made


def test_an_image_says_its_own_and_an_index_those_of_its_parts(registry: FakeRegistry) -> None:
    image, index = make_image("one", architecture="arm64"), make_index("two", platforms=2)
    registry.push(SHOP, "v1", image)
    registry.push(SHOP, "v2", index)
    platforms = Platforms(RegistryClient(registry.url), 2)
    assert platforms.of(SHOP, [image.digest, index.digest]) == {
        image.digest: ("linux/arm64",), index.digest: ("linux/amd64", "linux/arm64"),
    }  # fmt: skip


def test_platforms_that_were_read_are_remembered_up_to_a_limit(registry: FakeRegistry) -> None:
    images = [make_image(f"v{number}") for number in range(3)]
    for image in images:
        registry.push(SHOP, image.digest[-8:], image)
    platforms = Platforms(RegistryClient(registry.url), 2, remembered=2)
    asked: list[int] = []
    for wanted in ([0], [0], [1, 2], [2], [0]):
        registry.requests.clear()
        platforms.of(SHOP, [images[number].digest for number in wanted])
        asked.append(len(registry.requests))
    assert asked == [2, 0, 4, 0, 2]


def test_a_deleted_image_has_no_platforms_and_is_looked_up_again(registry: FakeRegistry) -> None:
    image = make_image("v1")
    platforms = Platforms(RegistryClient(registry.url), 2)
    assert platforms.of(SHOP, [image.digest]) == {image.digest: ()}
    registry.push(SHOP, "v1", image)
    assert platforms.of(SHOP, [image.digest]) == {image.digest: ("linux/amd64",)}


def test_without_a_registry_the_platforms_are_unknown() -> None:
    platforms = Platforms(None, 2)
    assert platforms.of(SHOP, []) == {}
    with pytest.raises(ConfigurationError, match=r"registry\.url is not set"):
        platforms.of(SHOP, [make_image("v1").digest])
