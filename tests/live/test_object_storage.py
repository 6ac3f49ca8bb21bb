"""The real registry on an S3 server: what its storage holds, and that pushprune sees it."""

from collections.abc import Iterator

import pytest

from service.domain.collection.storage_inventory import unpacked
from service.registry.storage_inventory import read_inventory
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.s3 import S3Server

pytestmark = [pytest.mark.live]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    require_registry()
    with S3Server("some/folder") as server:
        yield server


@pytest.fixture(scope="module")
def registry(server: S3Server) -> Iterator[RealRegistry]:
    with RealRegistry(config=server.config) as registry:
        yield registry


def test_an_inventory_has_what_was_pushed(server: S3Server, registry: RealRegistry) -> None:
    pusher = Pusher(registry.url)
    digests = {tag: pusher.push_image("shop/api", tag) for tag in ("rel", "rel2", "rel-1")}
    inventory = read_inventory(server.objects())
    repository = inventory.repositories["shop/api"]
    assert repository.tags.keys() == digests.keys()
    assert {unpacked(digest) for digest in repository.revisions} == set(digests.values())
    assert all(tag.pushed_us >= inventory.began_us - 60_000_000 for tag in repository.tags.values())
    assert all(inventory.blob(digest) for digest in repository.revisions)
