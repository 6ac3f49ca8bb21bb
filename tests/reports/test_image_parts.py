"""The contents of an image as the registry has it: platforms, layers and the true size."""

from collections.abc import Iterator

import pytest

from service.registry.client import RegistryClient
from service.reports.image_parts import image_contents
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as made:
        yield made


def test_an_image_has_its_layers_and_its_size(registry: FakeRegistry) -> None:
    digest = registry.push_image("shop/api", "v1", layers=3)
    contents = image_contents(RegistryClient(registry.url), "shop/api", digest)
    assert contents is not None
    (image,) = contents.images
    assert (image.digest, image.layers) == (digest, 3)
    assert contents.size_bytes == image.size_bytes == sum(map(len, make_image("shop/api:v1", layers=3).blobs))


def test_an_index_has_an_image_for_each_platform(registry: FakeRegistry) -> None:
    digest = registry.push_index("shop/api", "v1", platforms=2)
    contents = image_contents(RegistryClient(registry.url), "shop/api", digest)
    assert contents is not None
    assert [image.platform for image in contents.images] == ["linux/amd64", "linux/arm64"]
    children = make_index("shop/api:v1", platforms=2).children
    assert contents.size_bytes == sum(len(blob) for child in children for blob in child.blobs)


def test_an_image_that_does_not_exist_has_no_contents(registry: FakeRegistry) -> None:
    assert image_contents(RegistryClient(registry.url), "shop/api", make_image("gone").digest) is None
