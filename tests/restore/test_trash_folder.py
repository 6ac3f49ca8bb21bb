"""The folder of deleted images: on the disk before anything is deleted, and read with suspicion."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError, TrashUnwritable
from service.domain.oci.manifest import OCI_MANIFEST
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.restore.trash_folder import TrashFolder, default_folder
from tests.fakes.images import make_image

IMAGE = make_image("one")
MANIFEST = (OCI_MANIFEST, IMAGE.manifest)


def doomed(*tags: str, reason: str = "older than the newest 2") -> Doomed:
    verdicts = tuple(Verdict(Tag(tag, IMAGE.digest, 1), False, reason) for tag in tags or ("",))
    return Doomed(IMAGE.digest, verdicts)


def test_a_deletion_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    folder = TrashFolder(tmp_path / "trash")
    folder.save("shop/api", doomed("v1", "v2"), MANIFEST)
    folder.save("shop/web", doomed(), None)
    first, second = TrashFolder(tmp_path / "trash").saved()
    assert (first.repository, first.digest, first.media_type) == ("shop/api", IMAGE.digest, OCI_MANIFEST)
    assert (first.tags, first.reason) == (("v1", "v2"), "older than the newest 2")
    assert datetime.fromisoformat(first.at).tzinfo
    assert (second.repository, second.media_type, second.tags) == ("shop/web", "", ())
    assert folder.content(IMAGE.digest) == IMAGE.manifest


def test_manifest_line_and_names_are_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, flushed = TrashFolder(tmp_path), []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(os.readlink(f"/proc/self/fd/{fd}"))))
    folder.save("shop/api", doomed("v1"), MANIFEST)
    manifest = tmp_path / "manifests" / IMAGE.digest.replace(":", "-")
    assert {manifest, manifest.parent, tmp_path / "index.jsonl", tmp_path} <= set(flushed)
    assert flushed.index(manifest) < flushed.index(tmp_path / "index.jsonl"), "what the index names is there"


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = TrashFolder(tmp_path)
    folder.save("shop/api", doomed("v1"), MANIFEST)
    with (tmp_path / "index.jsonl").open("a") as index:
        index.write('{"repository":"shop/ap')
    assert [saved.tags for saved in folder.saved()] == [("v1",)]
    folder.save("shop/api", doomed("v3"), MANIFEST)
    assert [saved.tags for saved in folder.saved()] == [("v1",), ("v3",)], "and does not spoil the next one"


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository": "../../etc"},
        {"digest": "../../x"},
        {"tags": ["a/b"]},
        {"media_type": 5},
        {"more": 1},
        {"tags": 1},
    ],
)
def test_a_line_that_names_what_can_be_no_image_is_left_out(tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = TrashFolder(tmp_path)
    folder.save("shop/api", doomed("v1"), MANIFEST)
    line = json.loads((tmp_path / "index.jsonl").read_text())
    (tmp_path / "index.jsonl").write_text(json.dumps({**line, **wrong}))
    assert folder.saved() == ()


def test_changed_bytes_are_not_the_manifest(tmp_path: Path) -> None:
    folder = TrashFolder(tmp_path)
    folder.save("shop/api", doomed("v1"), MANIFEST)
    (tmp_path / "manifests" / IMAGE.digest.replace(":", "-")).write_bytes(IMAGE.manifest + b" ")
    assert folder.content(IMAGE.digest) is None
    folder.save("shop/api", doomed("v1"), MANIFEST)
    assert folder.content(IMAGE.digest) == IMAGE.manifest, "and are replaced when it is saved again"


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrashUnwritable, match=r"cannot be saved in .*file/trash \(Not a directory\), so nothing more"):
        TrashFolder(tmp_path / "file" / "trash").save("shop/api", doomed("v1"), MANIFEST)
    with pytest.raises(ConfigurationError, match="contains no deleted images"):
        TrashFolder(tmp_path).saved()


def test_the_folder_is_named_after_the_registry_and_the_time() -> None:
    at = datetime(2026, 11, 29, 16, 5, 1)
    assert default_folder("https://registry.example.com:5000/", at) == Path(
        "pushprune-trash/registry.example.com-5000/20261129-160501"
    )
