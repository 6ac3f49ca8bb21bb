"""The folder of deleted images: on the disk before anything is deleted, and read with suspicion."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError, TrashUnwritable
from service.domain.oci.manifest import OCI_MANIFEST
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.restore import trash_folder
from service.restore.trash_folder import TrashFolder, default_folder
from tests.fakes.images import make_image, sha256
from tests.support.waiting import until

FILE = "deleted.jsonl"
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
    folder.saved()
    assert folder.content(IMAGE.digest) == IMAGE.manifest


def test_a_manifest_that_is_no_text_is_read_back_byte_by_byte(tmp_path: Path) -> None:
    content = bytes(range(256)) + IMAGE.manifest
    digest = sha256(content)
    TrashFolder(tmp_path).save("shop/api", Doomed(digest, ()), (OCI_MANIFEST, content))
    folder = TrashFolder(tmp_path)
    assert [saved.digest for saved in folder.saved()] == [digest]
    assert folder.content(digest) == content


def test_the_file_and_its_name_are_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, flushed = TrashFolder(tmp_path), []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(os.readlink(f"/proc/self/fd/{fd}"))))
    folder.save("shop/api", doomed("v1"), MANIFEST)
    assert flushed[-2:] == [tmp_path, tmp_path / FILE], "the name first: another thread may rely on it"
    (tmp_path / FILE).rename(tmp_path / "moved")
    folder.save("shop/api", doomed("v2"), MANIFEST)
    assert flushed[-2:] == [tmp_path, tmp_path / FILE]


def test_a_name_that_could_not_be_flushed_is_flushed_with_the_next_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, results = TrashFolder(tmp_path), [OSError(5, "Input/output error"), None, None]
    folder.prepare()
    flushed: list[Path] = []

    def flush_folder(path: Path) -> None:
        flushed.append(path)
        if error := results.pop(0):
            raise error

    monkeypatch.setattr(trash_folder, "_flush_folder", flush_folder)
    with pytest.raises(TrashUnwritable, match="Input/output error"):
        folder.save("shop/api", doomed("v1"), MANIFEST)
    for tag in ("v1", "v2"):
        folder.save("shop/api", doomed(tag), MANIFEST)
    assert flushed == [tmp_path, tmp_path], "once more, and then no more"


def test_a_flush_serves_the_threads_that_wait_for_it_and_no_thread_that_writes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TrashFolder(tmp_path)
    folder.prepare()
    (tmp_path / FILE).write_text("")
    flushes: list[int] = []
    begun, resumed = threading.Event(), threading.Event()

    def fsync(descriptor: int) -> None:
        flushes.append((tmp_path / FILE).read_text().count("\n"))
        begun.set()
        assert resumed.wait(240)

    monkeypatch.setattr(trash_folder, "_flush_folder", lambda _: None)
    monkeypatch.setattr(os, "fsync", fsync)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(folder.save, "shop/api", doomed("v1"), MANIFEST)
        assert begun.wait(240)
        others = [pool.submit(folder.save, "shop/api", doomed(f"v{number}"), MANIFEST) for number in (2, 3, 4)]
        until(lambda: (tmp_path / FILE).read_text().count("\n") == 4)
        until(lambda: folder._flush._written == 4)
        assert not any(other.done() for other in others), "their lines came after the flush had begun"
        resumed.set()
        for save in (first, *others):
            save.result()
    assert flushes == [1, 4]


def test_the_flush_of_a_file_that_was_moved_away_does_not_serve_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, flushed = trash_folder._SharedFlush(), []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(os.readlink(f"/proc/self/fd/{fd}"))))
    with (tmp_path / "old").open("wb") as old, (tmp_path / "new").open("wb") as new:
        # Another thread has flushed the old file for everybody who had written by then.
        shared._flushed = (trash_folder._identity(old.fileno()), 1_000)
        shared.flush(new.fileno())
        shared.flush(new.fileno())
    assert flushed == [tmp_path / "new", tmp_path / "new"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = TrashFolder(tmp_path)
    folder.save("shop/api", doomed("v1"), MANIFEST)
    with (tmp_path / FILE).open("a") as index:
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
    line = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**line, **wrong}))
    assert folder.saved() == ()


def test_changed_bytes_are_not_the_manifest(tmp_path: Path) -> None:
    folder = TrashFolder(tmp_path)
    folder.save("shop/api", doomed("v1"), MANIFEST)
    line = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**line, "manifest": line["manifest"] + " "}) + "\n")
    assert len(folder.saved()) == 1
    assert folder.content(IMAGE.digest) is None
    folder.save("shop/api", doomed("v1"), MANIFEST)
    assert len(folder.saved()) == 2
    assert folder.content(IMAGE.digest) == IMAGE.manifest, "the image was saved again"


def test_an_unwritable_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
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
