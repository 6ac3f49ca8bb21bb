"""Images come back from a folder whole: parts before their index, signatures after their image, nothing overwritten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import NotRestorable
from service.domain.oci import tombstone
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.selector import TagSelector
from service.domain.retention.state import Tag
from service.registry.client import RegistryClient
from service.restore.from_folder import Outcome, RestoreFolder, Result
from service.restore.trash_folder import TrashFolder
from tests.fakes.images import Image, index_over, make_image
from tests.fakes.registry import FakeRegistry

SHOP = "shop/api"


@pytest.fixture(params=["2.8", "3"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with FakeRegistry(request.param) as registry:
        yield registry


class Shop:
    """A registry, and a folder in which images are saved before they are deleted from it."""

    def __init__(self, registry: FakeRegistry, folder: Path) -> None:
        self.registry, self.folder = registry, TrashFolder(folder)
        self.client = RegistryClient(registry.url)

    def delete(self, image: Image, *tags: str, repository: str = SHOP) -> None:
        verdicts = tuple(Verdict(Tag(tag, image.digest, 1), False, "old") for tag in tags or ("",))
        self.folder.save(repository, Doomed(image.digest, verdicts), (image.media_type, image.manifest))
        self.client.delete(repository, image.digest)

    def restore(self, wanted: TagSelector | None = None, *, force: bool = False) -> list[Result]:
        return list(RestoreFolder(self.folder, self.client, force=force).restore(wanted))

    def puts(self) -> list[str]:
        sent = [
            each for each in self.registry.requests if each.method == "PUT" and each.user_agent.startswith("pushprune")
        ]
        return [each.path.rpartition("/")[2] for each in sent if each.status == 201]


@pytest.fixture
def shop(registry: FakeRegistry, tmp_path: Path) -> Shop:
    return Shop(registry, tmp_path)


def outcomes(results: list[Result]) -> dict[str, Outcome]:
    return {result.tag or result.digest: result.outcome for result in results}


def test_an_image_comes_back_under_all_of_its_tags(shop: Shop) -> None:
    image, other = make_image("v1"), make_image("other")
    for tag in ("v1", "stable"):
        shop.registry.push(SHOP, tag, image)
    shop.registry.push("shop/web", "v1", other)
    shop.delete(image, "v1", "stable")
    shop.delete(other, "v1", repository="shop/web")
    assert outcomes(shop.restore(TagSelector(SHOP))) == {"v1": Outcome.RESTORED, "stable": Outcome.RESTORED}
    assert shop.registry.tags(SHOP) == {"v1": image.digest, "stable": image.digest}
    assert shop.registry.tags("shop/web") == {}
    assert outcomes(shop.restore()) == {"v1": Outcome.RESTORED, "stable": Outcome.PRESENT}
    assert shop.registry.tags("shop/web") == {"v1": other.digest}


def test_only_the_tag_that_is_named_comes_back(shop: Shop) -> None:
    image = make_image("v1")
    for tag in ("v1", "stable"):
        shop.registry.push(SHOP, tag, image)
    shop.delete(image, "v1", "stable")
    assert outcomes(shop.restore(TagSelector(SHOP, "v1"))) == {"v1": Outcome.RESTORED}
    assert set(shop.registry.tags(SHOP)) == {"v1"}
    with pytest.raises(NotRestorable, match="no deleted image of shop/api:v2 is in"):
        shop.restore(TagSelector(SHOP, "v2"))


def test_parts_come_before_their_index_and_signatures_after_their_image(shop: Shop) -> None:
    children = [make_image("amd64"), make_image("arm64")]
    nested = index_over(children[1:], seed="nested")
    index = index_over([children[0], nested])
    signature = make_image("signature", subject=children[0])
    attestation = make_image("attestation")
    names = {"sig": f"sha256-{children[0].digest[7:]}", "att": f"sha256-{index.digest[7:]}.att"}
    shop.registry.push(SHOP, "v1", index)
    shop.registry.push(SHOP, names["sig"], signature)
    shop.registry.push(SHOP, names["att"], attestation)
    shop.delete(signature, names["sig"])
    shop.delete(attestation, names["att"])
    shop.delete(index, "v1")
    for part in (nested, *children):
        shop.delete(part)
    result = shop.restore(TagSelector(SHOP, "v1"))
    assert outcomes(result) == dict.fromkeys(("v1", *names.values()), Outcome.RESTORED)
    assert shop.registry.tags(SHOP) == {
        "v1": index.digest, names["sig"]: signature.digest, names["att"]: attestation.digest,
    }  # fmt: skip
    puts = shop.puts()
    order = [puts.index(each) for each in (children[1].digest, nested.digest, index.digest, "v1")]
    assert order == sorted(order)
    assert puts.index("v1") < min(map(puts.index, names.values()))


def test_a_tag_that_points_elsewhere_by_now_is_left_alone_unless_forced(shop: Shop) -> None:
    old, new = make_image("old"), make_image("new")
    shop.registry.push(SHOP, "v1", old)
    shop.delete(old, "v1")
    shop.registry.push(SHOP, "v1", new)
    (result,) = shop.restore()
    assert (result.outcome, new.digest in result.reason, "--force" in result.reason) == (Outcome.REFUSED, True, True)
    assert shop.registry.tags(SHOP) == {"v1": new.digest}
    assert outcomes(shop.restore(force=True)) == {"v1": Outcome.RESTORED}
    assert shop.registry.tags(SHOP) == {"v1": old.digest}


def test_a_tag_at_the_tombstone_of_an_interrupted_deletion_is_free(shop: Shop) -> None:
    image = make_image("v1")
    shop.registry.push(SHOP, "v1", image)
    shop.delete(image, "v1")
    shop.client.put(SHOP, "v1", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    assert outcomes(shop.restore()) == {"v1": Outcome.RESTORED}


def test_the_last_of_several_deletions_of_a_tag_counts(shop: Shop) -> None:
    first, second = make_image("first"), make_image("second")
    for image in (first, second):
        shop.registry.push(SHOP, "v1", image)
        shop.delete(image, "v1")
    result = shop.restore()
    assert outcomes(result) == {first.digest: Outcome.RESTORED, "v1": Outcome.RESTORED}
    assert shop.registry.tags(SHOP) == {"v1": second.digest}
    assert set(shop.registry.manifests(SHOP)) == {first.digest, second.digest}


def test_a_tag_that_was_deleted_alone_comes_back_from_the_registrys_own_manifest(shop: Shop) -> None:
    image = make_image("v1")
    shop.registry.push(SHOP, "kept", image)
    verdict = Verdict(Tag("v1", image.digest, 1), False, "old", kept_as="kept")
    shop.folder.save(SHOP, Doomed(image.digest, (verdict,)), None)
    assert outcomes(shop.restore()) == {"v1": Outcome.RESTORED}
    assert shop.registry.tags(SHOP) == {"kept": image.digest, "v1": image.digest}


def test_an_image_whose_layers_were_collected_is_not_restored_and_the_others_are(shop: Shop) -> None:
    lost, whole = make_image("lost"), make_image("whole")
    for tag, image in (("lost", lost), ("whole", whole)):
        shop.registry.push(SHOP, tag, image)
        shop.delete(image, tag)
    del shop.registry.storage.blobs["sha256:" + lost.manifest.decode().rpartition("sha256:")[2][:64]]
    result = shop.restore()
    assert outcomes(result) == {"lost": Outcome.REFUSED, "whole": Outcome.RESTORED}
    assert "garbage collection: push the image again" in next(item.reason for item in result if item.tag == "lost")


def test_bytes_that_were_changed_in_the_folder_are_never_sent(shop: Shop) -> None:
    image = make_image("v1")
    shop.registry.push(SHOP, "v1", image)
    shop.delete(image, "v1")
    file = shop.folder.path / "deleted.jsonl"
    line = json.loads(file.read_text())
    file.write_text(json.dumps({**line, "manifest": line["manifest"] + " "}))
    (result,) = shop.restore()
    assert (result.outcome, "unchanged" in result.reason) == (Outcome.REFUSED, True)
    assert shop.puts() == []
