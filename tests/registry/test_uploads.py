"""Unfinished uploads: counted by the last write to them, and no other file is read."""

from pathlib import Path

from service.registry.uploads import Unfinished, unfinished
from tests.support.storage import DAY_S, NOW_S, upload


def test_only_uploads_without_a_write_for_long_count(tmp_path: Path) -> None:
    upload(tmp_path, "shop/api", "a", 2 * DAY_S, 1000)
    upload(tmp_path, "deep/er/name", "b", 3 * DAY_S, 500)
    upload(tmp_path, "shop/api", "c", 60, 7000)
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished(2, 1508, 3 * DAY_S)


def test_layers_and_manifests_are_not_entered(tmp_path: Path) -> None:
    upload(tmp_path, "shop/api/_layers", "a", 2 * DAY_S, 1000)
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished()


def test_an_empty_storage_has_none(tmp_path: Path) -> None:
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished()
