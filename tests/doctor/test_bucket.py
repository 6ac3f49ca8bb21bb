"""The storage if it is a bucket: one finding with one line for each thing that is wrong there."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from service.domain.errors import StorageRefused
from service.domain.finding import Finding
from service.registry.bucket_storage import BucketStorage
from service.registry.layout import upload_key
from service.registry.objects import ObjectStore
from tests.conftest import MakeWiring
from tests.doctor.conftest import look, quick
from tests.fakes.registry import FakeRegistry


def findings(make_wiring: MakeWiring, registry: FakeRegistry, folder: Path, **settings: Any) -> tuple[Finding, ...]:
    wiring = make_wiring(registry.url, **settings)
    objects = ObjectStore(LocalStore(folder, automatic_cleanup=True), "s3://registry")
    reached = replace(wiring.registry, objects=objects, storage=BucketStorage(objects))
    return look("storage", quick(replace(wiring, registry=reached)))


def test_a_bucket_that_is_the_registrys_is_fine_and_nothing_is_left_in_it(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    with FakeRegistry(disk=tmp_path) as registry:
        registry.push_image("shop/api", "v1")
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        (finding,) = findings(make_wiring, registry, tmp_path)
    assert finding.message == "s3://registry is the registry's; objects can be listed, written and deleted"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {tmp_path / "pushprune/clock"}


def test_another_bucket_is_an_error(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        (finding,) = findings(make_wiring, registry, tmp_path)
    assert finding.severity == "error"
    assert "is not what the registry serves" in finding.message
    assert finding.message.endswith("; nothing of a registry is at this prefix")
    assert finding.fix.startswith("storage: {url: s3://BUCKET/PREFIX}")


def test_abandoned_uploads_are_a_warning(make_wiring: MakeWiring, tmp_path: Path) -> None:
    with FakeRegistry(disk=tmp_path) as registry:
        registry.push_image("shop/api", "v1")
        for upload, age_s in (("old", 3 * 86_400), ("young", 60)):
            data = tmp_path / upload_key("shop/api", upload) / "data"
            data.parent.mkdir(parents=True)
            data.write_bytes(b"x" * 1_000_000)
            os.utime(data, (time.time() - age_s, time.time() - age_s))
        (finding,) = findings(make_wiring, registry, tmp_path)
    assert finding.message.startswith("1 uploads abandoned for more than a day hold 1.0 MB, the oldest for 3 days")
    assert finding.fix.startswith("storage: {maintenance: {uploadpurging:")


def test_missing_rights_are_an_error(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(objects: ObjectStore, key: str, content: bytes) -> bool:
        raise StorageRefused(f"{objects.name}: {key} cannot be written: 403")

    monkeypatch.setattr(ObjectStore, "write", refuse)
    with FakeRegistry(disk=tmp_path) as registry:
        (finding,) = findings(make_wiring, registry, tmp_path)
    assert (finding.severity, finding.fix[:26]) == ("error", "aws s3api put-bucket-polic")


def test_a_clock_versions_and_ignored_conditions_are_warnings(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ObjectStore.write
    monkeypatch.setattr(ObjectStore, "write", lambda *arguments: write(*arguments) or True)
    monkeypatch.setattr(ObjectStore, "create", lambda *arguments: True)
    monkeypatch.setattr(ObjectStore, "bulk_error", lambda *arguments: "501")
    monkeypatch.setattr(ObjectStore, "now_us", lambda objects: 1_790_000_000_000_000)
    with FakeRegistry(disk=tmp_path) as registry:
        messages = [finding.message for finding in findings(make_wiring, registry, tmp_path)]
    words = ("the clock of", "keeps versions", "several objects in one request (501)", "ignores conditions of writes")
    assert [word in message for word, message in zip(words, messages, strict=True)] == [True] * 4


def test_ignored_conditions_of_deletions_matter_only_to_deletions_in_the_bucket(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    with FakeRegistry(disk=tmp_path) as registry:
        (finding,) = findings(
            make_wiring, registry, tmp_path, delete={"via": "storage"}, storage={"url": "s3://registry"}
        )
    assert "ignores conditions of deletions (If-Match)" in finding.message
