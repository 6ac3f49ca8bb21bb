"""Contents that no registry of today creates are kept and named, and stop no collection."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore

from service.registry.layout import REPOSITORIES, blob_key, revision_key
from tests.conftest import MakeWiring
from tests.fakes.images import make_image, sha256
from tests.support.online import GRACE_S, SHOP, YOUTH_S, OnlineSite, blobs_of, make_site

KEPT, UNUSED = make_image(1), make_image(2)
LAYER, SIGNATURE = b"a layer of 2015", b'{"header": {"alg": "ES256"}, "signature": "of a manifest of 2015"}'
SCHEMA_1 = {"schemaVersion": 1, "fsLayers": [{"blobSum": sha256(LAYER)}], "history": [{"v1Compatibility": "{}"}]}


@pytest.fixture(params=["bucket", "folder"])
def stored(
    request: pytest.FixtureRequest, make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> OnlineSite:
    """A site with an image that is kept and one that was deleted, also on a filesystem."""
    if request.param == "folder":
        monkeypatch.setattr("tests.support.online.MemoryStore", lambda: LocalStore(tmp_path / "storage", mkdir=True))
    site = make_site(make_wiring, tmp_path, monkeypatch)
    site.objects.renames = request.param == "folder"
    site.registry.push(SHOP, "v1", KEPT)
    site.registry.push(SHOP, None, UNUSED)
    site.registry.delete(SHOP, UNUSED.digest)
    return site


def collect_all(site: OnlineSite) -> str:
    """Collect until nothing is left to delete, and return the remarks of the first run."""
    notes = []
    for wait_s in (YOUTH_S + 1, GRACE_S + 1, GRACE_S + 1):
        run = site.collect_after(wait_s)
        assert (run.result, run.message) == ("done", "")
        notes.append(run.note)
    assert not site.has(UNUSED.digest)
    return notes[0]


def test_a_manifest_of_schema_1_is_kept_with_its_signatures_and_stops_no_collection(stored: OnlineSite) -> None:
    """Registries before Distribution 2.5 wrote the links of signatures below the link of their manifest."""
    stored.registry.upload(SHOP, LAYER)
    manifest = json.dumps(SCHEMA_1).encode()
    stored.registry.put(SHOP, "old", manifest)
    stored.plain.write(blob_key(sha256(SIGNATURE)), SIGNATURE)
    folder = revision_key(SHOP, sha256(manifest)).removesuffix("link")
    link = f"{folder}signatures/sha256/{sha256(SIGNATURE)[7:]}/link"
    stored.plain.write(link, sha256(SIGNATURE).encode())
    note = collect_all(stored)
    assert stored.stored() == blobs_of(KEPT) | {sha256(manifest), sha256(LAYER), sha256(SIGNATURE)}
    assert stored.plain.head(link)
    assert f"blobs that they mention, are kept: {SHOP}@{sha256(manifest)};" in note
    assert "signatures of Docker schema 1 are kept: 1" in note


def test_manifests_of_an_unknown_format_are_named(stored: OnlineSite) -> None:
    stored.registry.upload(SHOP, LAYER)
    for number in range(5):
        stored.registry.put(SHOP, f"v{number}", json.dumps({"number": number, "is": [sha256(LAYER)]}).encode())
    note = collect_all(stored)
    assert sha256(LAYER) in stored.stored()
    assert "unknown format, and all blobs that they mention, are kept: " in note
    assert "and 2 more" in note


def test_nothing_is_reported_of_what_a_registry_of_today_creates(stored: OnlineSite) -> None:
    assert collect_all(stored) == ""


def link_layer(site: OnlineSite, folder: str) -> None:
    site.plain.write(f"{REPOSITORIES}/{folder}/_layers/sha256/{sha256(LAYER)[7:]}/link", sha256(LAYER).encode())


def link_manifest(site: OnlineSite, folder: str) -> None:
    content = json.dumps({"schemaVersion": 2, "layers": [{"digest": sha256(LAYER)}]}).encode()
    site.plain.write(blob_key(sha256(content)), content)
    link = f"{REPOSITORIES}/{folder}/_manifests/revisions/sha256/{sha256(content)[7:]}/link"
    site.plain.write(link, sha256(content).encode())


def link_renamed(site: OnlineSite, folder: str) -> None:
    """A layer that was pushed by its sha512."""
    site.plain.write(f"{REPOSITORIES}/{folder}/_layers/sha512/{'ab' * 64}/link", sha256(LAYER).encode())


@pytest.mark.parametrize("link", [link_layer, link_manifest, link_renamed])
@pytest.mark.parametrize("leftovers", ["report", "delete"])
def test_the_blobs_of_a_folder_that_no_registry_created_are_kept(
    stored: OnlineSite, link: Callable[[OnlineSite, str], None], leftovers: str
) -> None:
    """An operator has renamed the folder of a repository, and may rename it back."""
    settings = stored.wiring.settings
    gc = settings.gc.model_copy(update={"leftovers": leftovers})
    stored.wiring = replace(stored.wiring, settings=settings.model_copy(update={"gc": gc}))
    stored.plain.write(blob_key(sha256(LAYER)), LAYER)
    link(stored, "shop/Old")
    before = {each.key for each in stored.plain.list(f"{REPOSITORIES}/shop/Old")}
    note = collect_all(stored)
    assert sha256(LAYER) in stored.stored()
    assert {each.key for each in stored.plain.list(f"{REPOSITORIES}/shop/Old")} == before
    assert "until you rename or delete the folders: shop/Old" in note


def test_such_a_folder_stops_no_repair(stored: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """If not all pushes are known, every folder with a manifest is looked at."""
    link_manifest(stored, "shop/Old")
    stored.plain.write(blob_key(sha256(LAYER)), LAYER)
    monkeypatch.setattr(stored.store.pushes, "manifests_put", lambda since_ms=0.0: ("*",))
    run = stored.collect_after(YOUTH_S + 1)
    assert (run.result, run.message) == ("done", "")


@pytest.mark.parametrize("name", [".DS_Store", "link~", "link.1.tmp"])
def test_a_file_beside_a_link_stops_no_collection(stored: OnlineSite, name: str) -> None:
    """A registry reads files named `link` only."""
    stored.plain.write(revision_key(SHOP, KEPT.digest).removesuffix("link") + name, b"")
    collect_all(stored)


def test_a_link_to_a_manifest_that_is_not_understood_ends_the_run_with_its_name(stored: OnlineSite) -> None:
    link = f"{REPOSITORIES}/{SHOP}/_manifests/revisions/blake3/{'ab' * 32}/link"
    stored.plain.write(link, b"blake3:" + b"ab" * 32)
    run = stored.collect_after(YOUTH_S + 1)
    assert (run.result, run.unlinked) == ("failed", 0)
    assert link in run.message
