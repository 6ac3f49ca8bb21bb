"""The bytes that a collection frees after deletions, one by one."""

from service.domain.collection.blob_uses import BlobUses


def test_a_blob_counts_with_the_last_manifest_that_has_it() -> None:
    uses = BlobUses({"a": [("base", 100), ("own", 1), ("own", 1)], "b": [("base", 100), ("other", 20)], "none": []})
    assert uses.delete("a") == 1
    assert uses.delete("b") == 120
    assert uses.delete("none") == 0


def test_a_manifest_whose_layers_are_unknown_or_that_is_deleted_already_has_no_size() -> None:
    uses = BlobUses({"a": [("own", 1)]})
    assert uses.delete("other") is None
    assert uses.delete("a") == 1
    assert uses.delete("a") is None
