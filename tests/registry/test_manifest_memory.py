"""The memory of manifests recalls read manifests without a request, within a number of bytes."""

from service.registry.client import RegistryClient
from service.registry.manifest import Manifest, ManifestMemory
from tests.fakes.registry import FakeRegistry


def test_a_manifest_that_was_read_by_tag_is_recalled_by_its_digest_in_its_repository_alone() -> None:
    with FakeRegistry() as registry:
        digest = registry.push_image("shop/api", "v1")
        client = RegistryClient(registry.url)
        assert client.recall("shop/api", digest) is None
        manifest = client.get("shop/api", "v1")
        asked = len(registry.requests)
        assert client.recall("shop/api", digest) == manifest
        assert client.recall("shop/web", digest) is None
        assert len(registry.requests) == asked


def test_the_manifests_that_were_read_first_are_forgotten_first() -> None:
    memory = ManifestMemory(10)
    manifests = [Manifest(f"sha256:{name}", "", name.encode() * 4) for name in "abc"]
    for manifest in (*manifests, manifests[-1]):
        memory.add("shop/api", manifest)
    assert [memory.get("shop/api", manifest.digest) for manifest in manifests] == [None, *manifests[1:]]
