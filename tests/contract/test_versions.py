"""The ways in which the versions of Distribution differ, each as it was measured (registry facts)."""

from typing import Any

import pytest
import requests

from service.registry.client import RegistryClient
from tests.contract.conftest import Site, Sites
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_storage import Version


def listing(site: Site, path: str) -> requests.Response:
    return requests.get(f"{site.url}/v2/{path}", timeout=60)


class TestListing:
    def test_an_emptied_repository_lists_null_but_an_empty_list_on_the_main_branch(self, site: Site) -> None:
        site.client.delete("shop/api", site.pusher.push_image("shop/api", "v1"))
        assert listing(site, "shop/api/tags/list").json()["tags"] == ([] if site.is_main else None)

    def test_a_repository_of_blobs_alone_is_in_the_catalog_of_2_8_only(self, site: Site) -> None:
        site.pusher.push_blob("shop/blobs", b"a blob")
        site.pusher.push_image("shop/api", None)
        expected = ["shop/api"] if site.is_3 else ["shop/api", "shop/blobs"]
        assert list(site.client.repositories()) == expected

    def test_without_n_3_lists_every_tag_and_clamps_a_larger_n_than_maxtags(self, sites: Sites) -> None:
        site = sites.open(max_tags=2)
        site.pusher.push_image("shop/api", "a")
        for tag in "bcd":
            site.pusher.retag("shop/api", "a", tag)
        assert sorted(listing(site, "shop/api/tags/list").json()["tags"]) == ["a", "b", "c", "d"]
        asked = listing(site, "shop/api/tags/list?n=3")
        assert len(asked.json()["tags"]) == (2 if site.is_3 else 4)
        assert ("next" in asked.links) == site.is_3

    def test_a_larger_n_than_maxentries_is_refused_for_the_catalog(self, sites: Sites) -> None:
        site = sites.open(max_entries=2)
        for name in ("a", "b", "c"):
            site.pusher.push_image(name, None, seed="the same in each")
        refused = listing(site, "_catalog?n=3")
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["code"] == "PAGINATION_NUMBER_INVALID"
        assert listing(site, "_catalog").json()["repositories"] == ["a", "b"]
        assert listing(site, "_catalog?n=2&last=b").json()["repositories"] == ["c"]


class TestDeleting:
    def test_an_unknown_tag_is_404_where_tags_can_be_deleted(self, site: Site) -> None:
        site.pusher.push_image("shop/api", "v1")
        assert site.pusher.delete("shop/api", "v2") == (404 if site.is_3 else 400)

    def test_a_tag_push_that_meets_a_delete_may_be_refused_and_leaves_its_manifest(self, sites: Sites) -> None:
        """This happened to 5 of 200 pushes on 2.8, and to 24 of 200 on 3.1.1."""
        site = sites.open(refuses_crossed_pushes=True)
        assert isinstance(site.registry, FakeRegistry)
        old, new = site.pusher.push_image("shop/api", "v1"), make_image("new")
        site.pusher.push("shop/api", None, new)
        statuses: list[int] = []

        def push() -> None:
            headers = {"Content-Type": new.media_type}
            url = f"{site.url}/v2/shop/api/manifests/v1"
            statuses.append(requests.put(url, new.manifest, headers=headers, timeout=60).status_code)

        site.registry.during_delete(push)
        assert site.client.delete("shop/api", old)
        assert statuses == [500]
        assert site.client.tags("shop/api") == ()
        assert site.client.head("shop/api", new.digest) is not None


class TestCollecting:
    def test_version_3_deletes_a_mounted_layer_link_of_a_repository_that_sorts_first(self, site: Site) -> None:
        image = make_image("source")
        site.pusher.push("zzz/source", "v1", image)
        layer = image.blobs[1]
        digest = site.pusher.push_blob("zzz/source", layer)
        for repository in ("aaa/app", "zzzz/app"):
            site.pusher.push_image(repository, "other", seed=repository)
            site.pusher.mount(repository, digest, "zzz/source")
        site.collect()
        assert site.client.claims_blob("aaa/app", digest) == (not site.is_3)
        assert site.client.claims_blob("zzzz/app", digest)
        assert site.pusher.pull_whole("zzz/source", "v1") == image.digest

    def test_the_links_are_printed_after_the_blobs(self, site: Site) -> None:
        if not isinstance(site.registry, FakeRegistry):
            pytest.skip("what a real collector prints is in tests/data/gc-output")
        site.pusher.push_image("shop/api", "v1")
        loose = site.pusher.push_blob("shop/api", b"loose")
        output = site.registry.garbage_collect(dry_run=True).output
        link = f"shop/api: layer link eligible for deletion: {loose}"
        assert output[-1] == (link if site.is_3 else f"blob eligible for deletion: {loose}")
        assert site.client.claims_blob("shop/api", loose)


class TestSparseIndexes:
    def test_an_index_without_its_children_is_accepted_where_they_are_not_validated(self, sites: Sites) -> None:
        site = sites.open(sparse_indexes=True)
        index = make_index("a", platforms=2)
        site.pusher.push("shop/api", None, index.children[0])
        site.client.put("shop/api", "v1", index.media_type, index.manifest)
        assert site.client.head("shop/api", "v1")
        assert site.client.head("shop/api", index.children[1].digest) is None


class TestObjectStorage:
    """The registry with the S3 driver; measured against moto, ministack and a stub."""

    @staticmethod
    def filled(version: Version, *tags: str, **more: Any) -> tuple[FakeRegistry, RegistryClient]:
        fake = FakeRegistry(version, driver="s3", **more)
        for tag in tags:
            fake.push_image("shop/api", tag)
        return fake, RegistryClient(fake.url)

    @pytest.mark.parametrize(
        ("tags", "listed"),
        [
            (("rel", "rel2"), ("rel",)),
            (("1", "12", "2"), ("1", "2")),
            (("0.1.2", "0.1.20"), ("0.1.2",)),
            (("main", "main_ab", "main-1"), ("main", "main-1")),
        ],
    )
    def test_version_3_1_1_hides_a_tag_whose_name_begins_with_that_of_another_tag(
        self, tags: tuple[str, ...], listed: tuple[str, ...]
    ) -> None:
        fake, client = self.filled("3.1.1", *tags)
        with fake:
            assert sorted(client.tags("shop/api")) == sorted(listed)
            assert all(client.head("shop/api", tag) for tag in tags)

    @pytest.mark.parametrize("version", ["2.8", "3"])
    def test_other_versions_list_them(self, version: Version) -> None:
        fake, client = self.filled(version, "rel", "rel2")
        with fake:
            assert sorted(client.tags("shop/api")) == ["rel", "rel2"]

    def test_version_3_1_1_hides_more_tags_in_pages(self) -> None:
        fake, client = self.filled("3.1.1", "v1", "v1-a", "v12", page_size=1)
        with fake:
            assert client.tags("shop/api") == ("v1-a", "v12")

    def test_version_3_1_1_hides_a_repository_at_the_border_of_a_page(self) -> None:
        fake = FakeRegistry("3.1.1", driver="s3", max_entries=1)
        fake.push_image("team/app", "v1")
        fake.push_image("team/app-extra", "v1")
        with fake:
            first = requests.get(f"{fake.url}/v2/_catalog?n=1", timeout=60)
            second = requests.get(f"{fake.url}/v2/_catalog?n=1&last=team/app-extra", timeout=60)
        assert first.json()["repositories"] == ["team/app-extra"]
        assert second.json()["repositories"] == []

    @pytest.mark.parametrize("sibling", ["main-1", "main.1"])
    def test_version_2_8_leaves_a_tag_after_202_while_a_sibling_exists(self, sibling: str) -> None:
        fake, client = self.filled("2.8", "main", sibling)
        with fake:
            digest = fake.tags("shop/api")["main"]
            assert client.delete("shop/api", digest)
            assert sorted(client.tags("shop/api")) == ["main", sibling]
            assert client.head("shop/api", "main") is None

    @pytest.mark.parametrize(("version", "left"), [("2.8", "main1"), ("3", "main-1"), ("3.1.1", "main-1")])
    def test_the_tag_is_removed_by_other_versions_and_beside_other_names(self, version: Version, left: str) -> None:
        fake, client = self.filled(version, "main", left)
        with fake:
            assert client.delete("shop/api", fake.tags("shop/api")["main"])
            assert client.tags("shop/api") == (left,)

    @pytest.mark.parametrize(("version", "status"), [("2.8", 404), ("3.1.1", 200)])
    def test_an_emptied_repository_is_listed_as_its_version_lists_it(self, version: Version, status: int) -> None:
        fake, client = self.filled(version, "main")
        with fake:
            client.delete("shop/api", fake.tags("shop/api")["main"])
            assert requests.get(f"{fake.url}/v2/shop/api/tags/list", timeout=60).status_code == status
            assert client.tags("shop/api") == ()
            assert list(client.repositories()) == ([] if version == "3.1.1" else ["shop/api"])
