"""Values in Redis: JSON, words between spaces, and base 36, in each direction."""

import json

import pytest

from service.domain.history.entry import Entry
from service.domain.oci.manifest import OCI_INDEX, References
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import ManualDeletion, Tag, Untagged
from service.store.approvals import unpack_hold
from service.store.keys import short
from service.store.packing import (
    MOST_BLOBS,
    DoomedImages,
    pack_doomed,
    pack_layers,
    pack_links,
    pack_manual,
    pack_media,
    unpack_doomed,
    unpack_entry,
    unpack_layers,
    unpack_links,
    unpack_manual,
    unpack_media,
    unpack_revisions,
    unpack_untagged,
)
from tests.support.makers import digest_of
from tests.support.record import digest

X, Y = digest("x"), digest("y")


def test_a_doomed_image_is_json() -> None:
    kept_as = Verdict(Tag("v2", X, 6, 5), False, "the same", "last", kept_as="v3", manual=True, by="alice")
    doomed = Doomed(X, (Verdict(Tag("v1", X, None, 5), False, 'a "reason"', None), kept_as), "policy")
    assert unpack_doomed(pack_doomed(doomed)) == doomed


def test_images_that_are_read_again_are_unpacked_again_if_they_changed() -> None:
    x, y = (Doomed(image, (Verdict(Tag("v1", image, 5, 5), False, "old", "last"),)) for image in (X, Y))
    without_tag, images = x.without(x.verdicts), DoomedImages()
    first = images.unpack([pack_doomed(x), pack_doomed(y)])
    second = images.unpack([pack_doomed(without_tag), pack_doomed(y)])
    assert (first, second) == ((x, y), (without_tag, y))
    assert second[1] is first[1]
    assert images.unpack([]) == ()


def test_a_manual_deletion_is_json_without_spaces_in_which_a_script_finds_its_fields() -> None:
    request = ManualDeletion(X, "alice", 17, force=True)
    assert unpack_manual(pack_manual(request)) == request
    assert '"at_us":17' in pack_manual(request)
    assert '"rejected":""' in pack_manual(request)


@pytest.mark.parametrize(
    "references",
    [References(), References(children=(X, Y)), References(subject=X), References(children=(X,), readable=False)],
)
def test_packed_references_are_read_back(references: References) -> None:
    assert unpack_links(f"17 {pack_links(references)}") == references


def test_references_that_no_worker_has_read_are_unknown() -> None:
    assert unpack_links("17 ?") is None


def test_an_untagged_manifest_is_words() -> None:
    assert unpack_untagged(short(X), "17 v1") == Untagged(X, 17, "v1")
    assert unpack_untagged(X, f"17 v1 part {short(Y)}") == Untagged(X, 17, "v1", index=Y)
    assert unpack_untagged(short(X), "17 v1 untagged") == Untagged(X, 17, "v1", by_pushprune=True)
    assert unpack_untagged(short(X), "17  started") == Untagged(X, 17, "", started=True)


def test_revisions_are_words_and_each_digest_counts_once() -> None:
    assert unpack_revisions(f"9:{short(X)} 8:{short(Y)} 7:{short(X)}") == (X, Y)


@pytest.mark.parametrize("media_type", [OCI_INDEX, "application/vnd.example+json", ""])
def test_a_usual_media_type_is_a_short_word(media_type: str) -> None:
    assert unpack_media(pack_media(media_type)) == media_type


def test_layers_are_pairs_in_base_36() -> None:
    blobs = ((X, 0), (Y, 30_000_000))
    assert unpack_layers(pack_layers(blobs)) == ((short(X)[:8], 0), (short(Y)[:8], 30_000_000))
    assert pack_layers((digest(f"{number}"), 1) for number in range(MOST_BLOBS + 1)) == ""


def test_a_row_of_a_stream_is_an_entry() -> None:
    row = {"action": "push", "tag": "v1", "digest": X, "size": "5", "actor": "alice", "agent": "docker/29",
           "address": "10.0.0.1", "at_us": "17", "reason": "", "rule": "", "media": "oci index"}  # fmt: skip
    entry = Entry("1-0", "shop/api", "push", "v1", X, 5, "alice", "docker/29", "10.0.0.1", 17, "", "", OCI_INDEX)
    assert unpack_entry("1-0", row, "shop/api") == entry
    assert unpack_entry("1-0", {**row, "repository": "shop/web"}, None).repository == "shop/web"


def test_the_name_of_a_plan_is_too_long_for_a_pusher_to_give_two_plans_the_same() -> None:
    text = json.dumps({"reason": "r", "at_us": 1, "policy": "p", "digests": [digest_of("one")]})
    assert len(bytes.fromhex(unpack_hold("shop/api", text).plan)) >= 16
