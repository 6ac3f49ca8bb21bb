"""Promises of our client, and facts that we rely on, on the real registry and on the fake alike."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests

from service.domain.errors import AccessDenied, DeletesDisabled, RegistryRefused, TagDeletesUnknown
from service.domain.oci import tombstone
from service.domain.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    image_config,
    read_created,
    references_of,
)
from service.registry.auth import build_auth
from service.registry.client import RegistryClient
from service.registry.manifest import ManifestHead
from tests.contract.conftest import AGENT, Site, Sites
from tests.fakes.images import index_over, make_image, make_index, sha256
from tests.fakes.pusher import BrokenImage
from tests.fakes.real_registry import LOGIN

pytestmark = pytest.mark.slow

NOWHERE = "sha256:" + "0" * 64


def test_a_ping_is_answered(site: Site) -> None:
    site.client.ping()


class TestListing:
    @pytest.mark.slow
    def test_tags_are_all_listed(self, site: Site) -> None:
        image = make_image("the same under each")
        site.pusher.push("shop/api", "t0", image)
        for number in range(1, 130):
            site.pusher.put("shop/api", f"t{number}", image.media_type, image.manifest)
        assert sorted(site.client.tags("shop/api")) == sorted(f"t{number}" for number in range(130))

    def test_an_unknown_repository_has_no_tags(self, site: Site) -> None:
        assert site.client.tags("no/such") == ()

    def test_an_emptied_repository_has_no_tags_and_stays_in_the_catalog(self, site: Site) -> None:
        site.client.delete("shop/api", site.pusher.push_image("shop/api", "v1"))
        assert site.client.tags("shop/api") == ()
        assert list(site.client.repositories()) == ["shop/api"]

    def test_a_repository_that_never_had_a_tag_has_none(self, site: Site) -> None:
        site.pusher.push_image("shop/api", None)
        assert site.client.tags("shop/api") == ()
        assert list(site.client.repositories()) == ["shop/api"]

    @pytest.mark.slow
    def test_the_catalog_is_whole(self, site: Site) -> None:
        names = [f"team/r{number:03}" for number in range(105)]
        image = make_image("the same in each")
        site.pusher.push(names[0], None, image)
        for name in names[1:]:
            for blob in image.blobs:
                site.pusher.mount(name, sha256(blob), names[0])
            site.pusher.put(name, image.digest, image.media_type, image.manifest)
        assert list(site.client.repositories()) == names

    def test_an_empty_catalog_is_empty(self, site: Site) -> None:
        assert list(site.client.repositories()) == []


class TestTagsAlone:
    def test_a_tag_is_deleted_where_the_registry_can_and_refused_by_name_where_not(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        if not site.is_3:
            with pytest.raises(TagDeletesUnknown):
                site.client.delete_tag("shop/api", "v1")
            return
        assert site.client.delete_tag("shop/api", "v1")
        assert not site.client.delete_tag("shop/api", "v1")
        assert site.pusher.pull_whole("shop/api", digest) == digest

    def test_a_tag_that_points_at_the_tombstone_is_deleted_with_it_and_its_image_is_kept(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.pusher.retag("shop/api", "v1", "v2")
        site.pusher.push_image("shop/api", "other")
        for tag in ("v1", "other"):
            put = site.client.put("shop/api", tag, tombstone.MEDIA_TYPE, tombstone.FIRST.content)
            assert put == tombstone.FIRST.digest
        assert site.client.delete("shop/api", tombstone.FIRST.digest)
        assert site.pusher.tags("shop/api") == {"v2"}
        assert site.pusher.pull_whole("shop/api", "v2") == digest

    def test_tags_whose_tombstone_lost_its_manifest_are_deleted_once_it_was_pushed_again_by_digest(
        self, site: Site
    ) -> None:
        site.client.put("shop/api", "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
        site.drop_manifest("shop/api", tombstone.FIRST.digest)
        assert not site.client.delete("shop/api", tombstone.FIRST.digest)
        assert site.pusher.tags("shop/api") == {"v1"}
        site.client.put("shop/api", tombstone.FIRST.digest, tombstone.MEDIA_TYPE, tombstone.FIRST.content)
        assert site.client.delete("shop/api", tombstone.FIRST.digest)
        assert site.pusher.tags("shop/api") == set()


class TestBlobs:
    def test_a_small_blob_is_read_whole(self, site: Site) -> None:
        digest = site.pusher.push_blob("shop/api", b"{}")
        assert site.client.blob("shop/api", digest, 10) == b"{}"

    def test_a_blob_that_is_missing_or_too_large_is_none(self, site: Site) -> None:
        digest = site.pusher.push_blob("shop/api", b"x" * 200_000)
        assert site.client.blob("shop/api", digest, 199_999) is None
        assert site.client.blob("shop/api", NOWHERE, 10) is None

    def test_the_config_of_an_image_says_when_it_was_made(self, site: Site) -> None:
        site.pusher.push("shop/api", "v1", make_image("a", created=datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)))
        manifest = site.client.get("shop/api", "v1")
        assert manifest
        config = image_config(manifest.media_type, manifest.content)
        content = site.client.blob("shop/api", str(config), 4096)
        assert read_created(content or b"") == 1_770_091_506_789_000


class TestProbes:
    def test_the_check_of_writes_writes_nothing(self, site: Site) -> None:
        site.pusher.push_image("shop/api", "v1")
        assert site.client.takes_writes("shop/api")
        assert site.client.takes_writes("no/such")
        assert list(site.client.repositories()) == ["shop/api"]
        assert site.client.tags("shop/api") == ("v1",)

    def test_a_read_only_registry_takes_none(self, sites: Sites) -> None:
        assert not sites.open(readonly=True).client.takes_writes("shop/api")

    def test_a_blob_is_claimed_while_it_is_there(self, site: Site) -> None:
        digest = site.pusher.push_blob("shop/api", b"a blob")
        assert site.client.claims_blob("shop/api", digest)
        assert not site.client.claims_blob("shop/api", NOWHERE)

    @pytest.mark.parametrize("content", [b"", b"a blob"])
    def test_a_blob_can_be_read_even_if_it_has_no_bytes(self, site: Site, content: bytes) -> None:
        digest = site.pusher.push_blob("shop/api", content)
        assert site.client.has_blob("shop/api", digest)
        assert not site.client.has_blob("shop/api", NOWHERE)


class TestLooking:
    def test_head_says_digest_type_and_size(self, site: Site) -> None:
        image = make_image("a")
        site.pusher.push("shop/api", "v1", image)
        expected = ManifestHead(image.digest, OCI_MANIFEST)
        assert site.client.head("shop/api", "v1") == expected
        assert site.client.head("shop/api", image.digest) == expected

    @pytest.mark.parametrize("reference", ["v9", NOWHERE])
    def test_a_missing_manifest_is_none(self, site: Site, reference: str) -> None:
        site.pusher.push_image("shop/api", "v1")
        for repository in ("shop/api", "no/such"):
            assert site.client.head(repository, reference) is None
            assert site.client.get(repository, reference) is None

    def test_a_conditional_head_distinguishes_unchanged_moved_and_missing_tags(self, site: Site) -> None:
        first = site.pusher.push_image("shop/api", "v1")
        assert site.client.head("shop/api", "v1", unless=first) == ManifestHead(first, "")
        second = site.pusher.push_image("shop/api", "v1")
        moved = site.client.head("shop/api", "v1", unless=first)
        assert moved is not None
        assert moved.digest == second
        site.client.delete("shop/api", second)
        assert site.client.head("shop/api", "v1", unless=second) is None

    def test_a_conditional_head_of_a_digest_proves_nothing(self, site: Site) -> None:
        site.pusher.push_image("shop/api", "v1")
        condition = {"If-None-Match": f'"{NOWHERE}"'}
        answer = requests.head(f"{site.url}/v2/shop/api/manifests/{NOWHERE}", headers=condition, timeout=60)
        assert answer.status_code == 304
        with pytest.raises(ValueError, match="proves nothing"):
            site.client.head("shop/api", NOWHERE, unless=NOWHERE)

    @pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST])
    def test_get_brings_the_very_bytes(self, site: Site, media_type: str) -> None:
        make = make_index if media_type in (OCI_INDEX, DOCKER_LIST) else make_image
        image = make("a", media_type=media_type)
        site.pusher.push("shop/api", "v1", image)
        for reference in ("v1", image.digest):
            result = site.client.get("shop/api", reference)
            assert result is not None
            assert (result.digest, result.media_type, result.content) == (image.digest, media_type, image.manifest)

    def test_each_look_is_one_request(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.client.head("shop/api", "v1", unless=digest)
        site.client.get("shop/api", "v1")
        site.client.tags("shop/api")
        assert site.our_requests() == 3


class TestDeleting:
    def test_a_second_delete_is_answered_404(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        assert site.client.delete("shop/api", digest) is True
        assert site.client.delete("shop/api", digest) is False

    def test_a_delete_in_an_unknown_repository_is_answered_404(self, site: Site) -> None:
        assert site.client.delete("no/such", NOWHERE) is False

    def test_every_tag_on_the_digest_is_deleted_along(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.pusher.retag("shop/api", "v1", "also-v1")
        site.pusher.push_image("shop/api", "v2")
        site.client.delete("shop/api", digest)
        assert site.client.tags("shop/api") == ("v2",)
        assert site.client.head("shop/api", digest) is None

    @pytest.mark.slow
    def test_threads_share_the_client(self, site: Site) -> None:
        digests = [site.pusher.push_image("shop/api", f"v{number}") for number in range(20)]
        with ThreadPoolExecutor(8) as pool:
            deleted = list(pool.map(lambda digest: site.client.delete("shop/api", digest), digests))
        assert deleted == [True] * 20
        assert site.client.tags("shop/api") == ()

    def test_deletes_switched_off_name_the_line_to_change(self, sites: Sites) -> None:
        site = sites.open(delete_enabled=False)
        digest = site.pusher.push_image("shop/api", "v1")
        with pytest.raises(DeletesDisabled) as refused:
            site.client.delete("shop/api", digest)
        assert "`storage: delete: enabled: true`" in str(refused.value)
        assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in str(refused.value)
        assert site.client.tags("shop/api") == ("v1",)

    def test_a_read_only_registry_is_called_that(self, sites: Sites) -> None:
        site = sites.open(readonly=True)
        with pytest.raises(DeletesDisabled, match="read-only"):
            site.client.delete("shop/api", NOWHERE)
        image = make_index("a", platforms=0)
        with pytest.raises(RegistryRefused, match="read-only"):
            site.client.put("shop/api", "v1", image.media_type, image.manifest)

    def test_only_3_deletes_a_tag_by_its_name(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        status = site.pusher.delete("shop/api", "v1")
        assert status == (202 if site.is_3 else 400)
        assert site.client.tags("shop/api") == (() if site.is_3 else ("v1",))
        assert site.client.head("shop/api", digest) is not None


class TestPutting:
    def test_a_deleted_image_can_be_restored_completely_before_a_collection(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        saved = site.client.get("shop/api", "v1")
        assert saved is not None
        site.client.delete("shop/api", digest)
        assert site.client.put("shop/api", "v1", saved.media_type, saved.content) == digest
        assert site.pusher.pull_whole("shop/api", "v1") == digest

    def test_after_a_collection_it_is_refused(self, site: Site) -> None:
        image = make_image("a")
        site.client.delete("shop/api", site.pusher.push("shop/api", "v1", image))
        site.collect()
        with pytest.raises(RegistryRefused, match="MANIFEST_BLOB_UNKNOWN"):
            site.client.put("shop/api", "v1", image.media_type, image.manifest)
        assert site.client.tags("shop/api") == ()

    def test_an_index_needs_its_children_first(self, site: Site) -> None:
        index = index_over([make_image("a"), make_image("b")])
        with pytest.raises(RegistryRefused, match="MANIFEST_BLOB_UNKNOWN"):
            site.client.put("shop/api", "v1", index.media_type, index.manifest)
        site.pusher.push("shop/api", "v1", index)
        assert site.pusher.pull_whole("shop/api", "v1") == index.digest

    def test_a_child_can_be_deleted_and_restored(self, site: Site) -> None:
        index = make_index("a")
        site.pusher.push("shop/api", "v1", index)
        child = index.children[0]
        assert site.client.delete("shop/api", child.digest) is True
        with pytest.raises(BrokenImage):
            site.pusher.pull_whole("shop/api", "v1")
        site.client.put("shop/api", child.digest, child.media_type, child.manifest)
        assert site.pusher.pull_whole("shop/api", "v1") == index.digest

    def test_a_referrer_may_come_before_its_subject(self, site: Site) -> None:
        referrer = make_image("signature", subject=make_image("never pushed"))
        assert site.pusher.push("shop/api", "sha256-abc.sig", referrer) == referrer.digest

    def test_a_subject_may_be_any_text(self, site: Site) -> None:
        image = make_image("a")
        for blob in image.blobs:
            site.pusher.push_blob("shop/api", blob)
        manifest = json.dumps(json.loads(image.manifest) | {"subject": {"digest": "\ud800 child=a"}}).encode()
        site.pusher.put("shop/api", "v1", OCI_MANIFEST, manifest)
        pushed = site.client.get("shop/api", "v1")
        assert pushed is not None
        assert not references_of(pushed.media_type, pushed.content).readable

    def test_garbage_is_refused(self, site: Site) -> None:
        with pytest.raises(RegistryRefused, match="MANIFEST_INVALID"):
            site.client.put("shop/api", "v1", OCI_MANIFEST, b"garbage")


class TestNotifications:
    def test_the_push_of_an_image_is_reported_with_its_blobs_and_its_tag(self, site: Site) -> None:
        image = make_image("a", layers=2)
        site.pusher.push("shop/api", "v1", image)
        *blobs, pushed = site.events_until_marker()
        assert [told(event) for event in blobs] == [("push", "blob", None, "digest")] * 3
        assert told(pushed) == ("push", OCI_MANIFEST, "v1", "digest")
        assert pushed["target"]["digest"] == image.digest
        assert pushed["target"]["size"] == len(image.manifest)

    def test_the_same_tag_and_a_second_tag_are_pushes_again(self, site: Site) -> None:
        site.pusher.push_image("shop/api", "v1", seed="a")
        site.pusher.push_image("shop/api", "v1", seed="a")
        site.pusher.push_image("shop/api", "v2", seed="a")
        tagged = [event["target"]["tag"] for event in site.events_until_marker() if "tag" in event["target"]]
        assert tagged == ["v1", "v1", "v2"]

    def test_children_are_pushed_without_a_tag(self, site: Site) -> None:
        site.pusher.push_index("shop/api", "v1")
        manifests = [told(event) for event in site.events_until_marker() if told(event)[1] != "blob"]
        child = ("push", OCI_MANIFEST, None, "digest")
        assert manifests == [child, child, ("push", OCI_INDEX, "v1", "digest")]

    def test_a_mount_names_where_it_came_from(self, site: Site) -> None:
        digest = site.pusher.push_blob("team/base", b"a layer")
        site.pusher.mount("shop/api", digest, "team/base")
        mounted = site.events_until_marker()[-1]
        assert told(mounted) == ("mount", "blob", None, "digest")
        assert mounted["target"]["fromRepository"] == "team/base"

    def test_a_delete_is_reported_with_the_digest_and_each_tag(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.pusher.retag("shop/api", "v1", "v2")
        site.client.delete("shop/api", digest)
        deleted = [event for event in site.events_until_marker() if event["action"] == "delete"]
        assert deleted[0]["target"]["digest"] == digest
        assert sorted(map(told, deleted), key=str) == sorted(
            [("delete", "", None, "digest"), ("delete", "", "v1", ""), ("delete", "", "v2", "")], key=str
        )
        assert all(("mediaType" in event["target"]) == site.is_3 for event in deleted)

    def test_a_delete_of_a_missing_manifest_is_not_reported(self, site: Site) -> None:
        site.pusher.push_image("shop/api", "v1")
        site.client.delete("shop/api", NOWHERE)
        assert [event for event in site.events_until_marker() if event["action"] == "delete"] == []

    def test_looking_is_a_pull_unless_the_answer_is_unchanged(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.client.head("shop/api", "v1", unless=digest)
        assert pulls(site) == []
        site.client.head("shop/api", "v1")
        site.client.get("shop/api", digest)
        assert pulls(site) == [("HEAD", "v1"), ("GET", None)]

    def test_every_change_by_pushprune_has_its_user_agent(self, site: Site) -> None:
        digest = site.pusher.push_image("shop/api", "v1")
        site.client.delete("shop/api", digest)
        events = site.events_until_marker()
        assert {event["request"]["useragent"].startswith(AGENT) for event in events if event["action"] == "delete"} == {
            True
        }
        assert {event["request"]["useragent"].startswith(AGENT) for event in events if event["action"] == "push"} == {
            False
        }


class TestLoggingIn:
    def test_a_stranger_is_turned_away(self, sites: Sites) -> None:
        site = sites.open(login=True)
        with pytest.raises(AccessDenied):
            site.client.ping()
        wrong = build_auth(site.url, username=LOGIN[0], password="wrong", docker_config=None)
        with pytest.raises(AccessDenied) as denied:
            RegistryClient(site.url, auth=wrong).ping()
        assert "wrong" not in str(denied.value)

    def test_basic_lets_us_in_and_the_events_name_the_user(self, sites: Sites) -> None:
        site = sites.open(login=True)
        digest = site.pusher.push_image("shop/api", "v1")
        auth = build_auth(site.url, username=LOGIN[0], password=LOGIN[1], docker_config=None)
        client = RegistryClient(site.url, auth=auth)
        assert client.delete("shop/api", digest) is True
        assert list(client.repositories()) == ["shop/api"]
        assert {event["actor"]["name"] for event in site.events_until_marker()} == {LOGIN[0]}
        assert site.our_requests() == 3  # the first one is refused; from then on the header goes along


def told(event: dict[str, object]) -> tuple[object, ...]:
    """Shorten an event to its action, kind, tag, and True if it names a digest."""
    target = event["target"]
    assert isinstance(target, dict)
    kind = target.get("mediaType") or ""
    kind = "blob" if kind == "application/octet-stream" else kind
    return (event["action"], kind, target.get("tag"), "digest" if target.get("digest") else "")


def pulls(site: Site) -> list[tuple[str, str | None]]:
    """Method and tag of each pull of a manifest that we caused."""
    return [
        (event["request"]["method"], event["target"].get("tag"))
        for event in site.events_until_marker()
        if event["action"] == "pull" and event["request"]["useragent"].startswith(AGENT)
    ]
