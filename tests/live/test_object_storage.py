"""The real registry on an S3 server, and the contents of its storage as pushprune sees them."""

import json
from collections.abc import Iterator
from urllib.parse import urljoin

import boto3
import pytest
import requests

from service.domain.collection.digests import unpacked
from service.domain.errors import RegistryRefused
from service.registry import bucket_deletion
from service.registry.bucket_deletion import BucketDeletion
from service.registry.bucket_storage import BucketStorage
from service.registry.client import RegistryClient
from service.registry.layout import blob_key, revision_key
from service.registry.storage_inventory import read_inventory
from service.settings.gc import GcSettings
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.s3 import BUCKET, S3Server
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.manual import code_blocks, page


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


def test_a_deletion_in_the_bucket_is_exact_and_leaves_no_tag_behind(server: S3Server, registry: RealRegistry) -> None:
    """2.8.3 itself leaves `main` listed while `main-1` exists."""
    pusher, client = Pusher(registry.url), RegistryClient(registry.url)
    digests = {tag: pusher.push_image("shop/web", tag, seed=tag) for tag in ("main", "main-1", "main.x")}
    pusher.push_image("shop/web", "again", seed="main-1")
    storage = BucketStorage(server.objects())
    batch = BucketDeletion(storage, client).open("shop/web")
    assert batch.delete(digests["main"], ["main"])
    assert batch.untag("main-1", [digests["main-1"]])
    assert batch.close() == ()
    assert set(client.tags("shop/web")) == storage.tags("shop/web") == {"again", "main.x"}
    assert client.head("shop/web", digests["main"]) is None
    assert not batch.is_still_served(digests["main"])
    assert digest_at(client, "again") == digests["main-1"]
    assert batch.put(content_of(storage, digests["main"]), "main") == digests["main"]
    assert digest_at(client, "main") == digests["main"]


def test_a_tag_that_the_registry_left_behind_is_removed(
    server: S3Server, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pusher, client = Pusher(registry.url), RegistryClient(registry.url)
    digests = {tag: pusher.push_image("shop/left", tag, seed=tag) for tag in ("main", "main-1")}
    client.delete("shop/left", digests["main"])
    if registry.version.startswith("2"):
        assert set(client.tags("shop/left")) == {"main", "main-1"}, "the fault is mended: drop the code for it"
    monkeypatch.setattr(bucket_deletion, "_ABANDONED_US", -60_000_000)
    BucketDeletion(BucketStorage(server.objects()), client).settle("shop/left")
    assert client.tags("shop/left") == ("main-1",)


def test_the_bucket_of_another_registry_is_refused(registry: RealRegistry) -> None:
    Pusher(registry.url).push_image("shop/api", "v1")
    with S3Server() as other:
        storage = BucketStorage(other.objects())
        storage.objects.write(revision_key("shop/api", f"sha256:{'a' * 64}"), b"")
        with pytest.raises(RegistryRefused, match="is not what the registry serves"):
            BucketDeletion(storage, RegistryClient(registry.url)).open("shop/api")


def test_the_lifecycle_rule_of_the_manual_fits_the_unfinished_uploads_of_the_registry(
    server: S3Server, registry: RealRegistry
) -> None:
    rules = next(text for text in code_blocks(page("bucket"), "json") if "AbortIncomplete" in text)
    bucket = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="testtest",
    )
    bucket.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=json.loads(rules))
    (rule,) = bucket.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    begun = requests.post(f"{registry.url}/v2/shop/broken/blobs/uploads/", timeout=30)
    sent = requests.patch(urljoin(registry.url, begun.headers["Location"]), data=b"half of a layer", timeout=30)
    assert sent.status_code == 202
    keys = [upload["Key"] for upload in bucket.list_multipart_uploads(Bucket=BUCKET)["Uploads"]]
    assert [key for key in keys if key.startswith(rule["Filter"]["Prefix"])] == keys != []
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] * 86_400 > GcSettings().uploads_after
    # No listing has the parts, so no collection can delete them.
    assert not [stored for stored in server.objects().list() if stored.key in keys]


@pytest.mark.deep
def test_keep_last_3_right_after_each_push_with_everything_in_a_bucket(live: Live) -> None:
    with S3Server("some/folder") as server:
        system = live(policy=last(3), storage=server.settings, delete={"via": "storage"}, registry_config=server.config)
        storage = BucketStorage(server.objects())
        system.pusher.push_image("shop/api", "main", seed="the first")
        for number in range(6):
            system.pusher.push_image("shop/api", f"main-{number}", seed=f"image {number}")
        system.start_worker()
        expected = {f"main-{number}" for number in (3, 4, 5)}
        wait_until(lambda: storage.tags("shop/api") == expected, "the older tags are not deleted")
        client = system.wiring.registry.client
        wait_until(lambda: set(client.tags("shop/api")) == expected, "the registry lists more")
        assert system.registry.request_count("pushprune/", "DELETE") == 0
        history = system.store.history
        wait_until(lambda: {tag.name for tag in history.live("shop/api")} == expected, "a deletion is not recorded")
        assert set(reasons(system).values()) == {"older than the newest 3 (rule last)"}
        assert system.store.outbox.troubles() == ()
        tag = min(reasons(system))
        system.wiring.restore.restore("shop/api", tag=tag)
        assert digest_at(client, tag, "shop/api") is not None


def reasons(system: LiveSystem) -> dict[str, str]:
    """The tags that were deleted, each with its reason."""
    entries = system.store.history.entries("shop/api")
    return {entry.tag: entry.reason for entry in entries if entry.action == "pruned" and entry.tag}


def content_of(storage: BucketStorage, digest: str) -> bytes:
    """The bytes of a manifest that are in the bucket still."""
    content = storage.objects.read(blob_key(digest))
    assert content is not None
    return content


def digest_at(client: RegistryClient, tag: str, repository: str = "shop/web") -> str | None:
    head = client.head(repository, tag)
    return head.digest if head else None
