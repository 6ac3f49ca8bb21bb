"""The garbage of the registry's own collector, by repository."""

from types import SimpleNamespace
from typing import Any

from service.collect.online.record import record_repositories
from service.domain.collection.garbage import RepositoryGarbage
from tests.fakes.images import sha256
from tests.support.online import SHOP, OnlineSite


def test_the_repositories_of_garbage_are_those_that_have_a_link_to_it(site: OnlineSite) -> None:
    layer = site.registry.upload(SHOP, b"a layer")
    site.registry.mount("shop/web", layer, SHOP)
    attempt: Any = SimpleNamespace(store=site.store, lease=SimpleNamespace(check=lambda: None))
    record_repositories(attempt, site.objects, {layer: 7, sha256(b"a manifest"): None})
    garbage = site.store.garbage.last()
    assert garbage is not None
    assert set(garbage.repositories) == {
        RepositoryGarbage(SHOP, 1, 7),
        RepositoryGarbage("shop/web", 1, 7),
        RepositoryGarbage("", 1, 0),
    }
