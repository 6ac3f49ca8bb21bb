"""Every image is in `history.trash_dir` before anything of it is deleted (safety rule 4)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import keep_last
from tests.fakes.images import make_image, sha256
from tests.support.system import SHOP, Make, System

VERSIONS = ("2.8", "3")


def kept_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """digest → tags, of images that can be restored from the folder."""
    file = folder / "deleted.jsonl"
    # Other threads write meanwhile, so that the last line may be incomplete.
    whole_lines = file.read_text().split("\n")[:-1] if file.exists() else []
    lines = [json.loads(line) for line in whole_lines]
    result: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if line["media_type"]:
            assert sha256(line["manifest"].encode()) == line["digest"]
        result[line["digest"]] = (*result.get(line["digest"], ()), *line["tags"])
    return result


def watched(system: System, folder: Path) -> list[str]:
    """Note at each write the tags that the registry has lost and the folder does not have yet."""
    missing: list[str] = []
    before = dict(system.registry.tags(SHOP))

    def look() -> None:
        now = system.registry.tags(SHOP)
        kept = kept_in(folder)  # read later: other threads delete meanwhile
        lost = {tag for tag, digest in before.items() if now.get(tag) != digest}
        missing.extend(tag for tag in lost if tag not in kept.get(before[tag], ()))

    for method in ("DELETE", "PUT"):
        system.registry.after(method, "/manifests/", look, times=None)
    return missing


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    (tmp_path / "deleted.jsonl").write_text('{"digest": "a", "media_type": "", "tags": ["v1"]}\n{"digest": "b')
    assert kept_in(tmp_path) == {"a": ("v1",)}


def settings(folder: Path) -> dict[str, Any]:
    return {"history": {"trash_dir": str(folder)}}


@pytest.mark.parametrize(
    ("version", "count"), [("2.8", 4), ("3", 4), ("2.8", 140), pytest.param("3", 140, marks=pytest.mark.deep)]
)
def test_every_image_is_on_the_disk_before_it_loses_a_tag(
    make_system: Make, tmp_path: Path, version: str, count: int
) -> None:
    folder = tmp_path / "trash"
    system = make_system(keep_last(2), version, **settings(folder))
    system.push(*(f"v{number}" for number in range(count)))
    before = dict(system.registry.tags(SHOP))
    missing = watched(system, folder)
    system.settle()
    assert len(system.tags()) == 2
    assert missing == []
    assert kept_in(folder) == {before[tag]: (tag,) for tag in before if tag not in system.tags()}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tag_that_is_deleted_alone_is_noted_before(make_system: Make, tmp_path: Path, version: str) -> None:
    folder = tmp_path / "trash"
    system = make_system(keep_last(1, protect=["stable"]), version, **settings(folder))
    image = make_image("old")
    for tag in ("stable", "old"):
        system.registry.push(SHOP, tag, image)
    system.push("v2")
    missing = watched(system, folder)
    system.settle()
    assert (system.tags(), missing) == ({"stable", "v2"}, [])
    assert kept_in(folder) == {image.digest: ("old",)}


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_deleted_if_the_folder_cannot_be_written_and_one_sentence_says_so(
    make_system: Make, tmp_path: Path, version: str
) -> None:
    (tmp_path / "full").write_text("")
    system = make_system(keep_last(1), version, **settings(tmp_path / "full" / "trash"))
    system.push("v1", "v2")
    system.work()
    assert system.tags() == {"v1", "v2"}
    assert system.registry.count("pushprune", "DELETE") == 0
    (trouble,) = system.store.outbox.troubles()
    assert trouble.message.startswith("deleted images cannot be saved in ")
    (tmp_path / "full").unlink()
    system.later()
    assert system.tags() == {"v2"}
    assert system.store.outbox.troubles() == ()
