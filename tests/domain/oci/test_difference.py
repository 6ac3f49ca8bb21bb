"""The blobs that one image has and another has not."""

from service.domain.oci.diff import Difference, difference


def test_each_blob_is_new_gone_or_shared_and_counts_once() -> None:
    before = (("config", 1), ("base", 100), ("old", 20))
    after = (("config2", 2), ("base", 100), ("new", 30), ("new", 30))
    result = difference(before, after)
    assert result == Difference(new=(2, 30), gone=(1, 20), shared=(100,))
    assert (result.new_bytes, result.removed_bytes, result.shared_bytes) == (32, 21, 100)


def test_an_image_of_unknown_layers_has_no_difference() -> None:
    assert difference((), (("a", 1),)) is None
    assert difference((("a", 1),), None) is None
