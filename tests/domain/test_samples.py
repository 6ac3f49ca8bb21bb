"""Every notification recorded from real registries is understood, with the right meaning."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.events import Event, parse
from service.domain.oci.names import is_digest
from service.domain.retention.state import is_referrer_tag
from tests.support.makers import envelope

SAMPLES = Path(__file__).parents[1] / "data" / "notifications"
VERSIONS = ("distribution-2.8.3", "distribution-3")
RECORDED_AT_US = 1_800_000_000_000_000

LAYERS = ["push blob app/m1"] * 2
IMAGE = ["push blob app/dk"] * 3
CHILDREN = [*["push blob app/multi"] * 6, *["push manifest app/multi"] * 2]
COPIED = [
    "pull index app/multi:1.0",
    *["pull manifest app/multi"] * 2,
    *["pull blob app/multi"] * 6,
    *["push blob app/multi2"] * 6,
    *["push manifest app/multi2"] * 2,
    "push index app/multi2:2.0",
]
CASES: dict[str, list[str]] = {
    "00_seed_ignore": [
        *["push blob seed"] * 3, "push manifest seed:a", "pull manifest seed:a", *["pull blob seed"] * 3,
    ],
    "01_skopeo_push_single": [
        *["pull blob seed", "mount blob app/web"] * 2, "push blob app/web", "push manifest app/web:1.0",
    ],
    "02_skopeo_repush_identical_tag": [*["pull blob app/web"] * 3, "push manifest app/web:1.0"],
    "03_same_digest_second_tag": [*["pull blob app/web"] * 3, "push manifest app/web:latest"],
    "04_multiarch_push_by_digest_children": [*CHILDREN, "push index app/multi:1.0"],
    "05_skopeo_copy_all_multiarch": COPIED,
    "06_cross_repo_mount": ["mount blob app/m2"],
    "07_pull_manifest_GET_tag": ["pull manifest app/m1:x"],
    "08_pull_manifest_HEAD_tag": ["pull manifest app/m1:x"],
    "09_pull_manifest_GET_digest": ["pull manifest app/m1"],
    "09b_pull_manifest_GET_ifnonematch": [],
    "10_pull_blob_GET": ["pull blob app/m1"],
    "11_pull_blob_HEAD": ["pull blob app/m1"],
    "12_docker_schema2_push": [*IMAGE, "push manifest app/dk:d1"],
    "13_docker_manifestlist_push": [*IMAGE, *IMAGE, *["push manifest app/dk"] * 2, "push index app/dk:ml"],
    "14_cosign_sig_tag": [*LAYERS, "push manifest app/m1:<referrer>"],
    "15_oci_referrer_by_digest": [*LAYERS, "push manifest app/m1"],
    "16_manifest_delete_by_digest": ["delete app/m1@", "delete app/m1:x"],
    "17_manifest_delete_by_digest_two_tags": ["delete app/m1@", "delete app/m1:y1", "delete app/m1:y2"],
    "18_tag_delete": ["delete app/m1:z1"],
    "19_index_delete_by_digest": ["delete app/multi@", "delete app/multi:1.0"],
    "20_blob_delete": ["delete app/m1@"],
    "21_delete_unknown_digest": [],
    "23_failed_manifest_put": [],
    "24_skopeo_delete_by_tag": [
        "pull manifest app/web:1.0", "delete app/web@", "delete app/web:1.0", "delete app/web:latest",
    ],
    "30_includereferences": ["push manifest c/d:x", *["push manifest c/d"] * 2, "push index c/d:ix"],
    "31_dummy_trick": ["push index q/tr:v1", "delete q/tr@", "delete q/tr:v1"],
    "32_oras_attach": ["push manifest o/a", "push index o/a:<referrer>"],
}  # fmt: skip
REFUSED_BY_2_8 = "18_tag_delete"


def bodies(version: str, case: str) -> Iterator[bytes]:
    """The body of each request of a case; some cases were kept as bare events."""
    for kept in json.loads((SAMPLES / version / f"{case}.json").read_text()):
        yield json.dumps(kept["body"]).encode() if "body" in kept else envelope(kept)


def events_of(version: str, case: str) -> list[Event]:
    envelopes = [parse(body, RECORDED_AT_US) for body in bodies(version, case)]
    assert [rejected for envelope in envelopes for rejected in envelope.rejected] == []
    return [event for envelope in envelopes for event in envelope.events]


def meaning(event: Event) -> str:
    if event.action == "delete":
        return f"delete {event.repository}" + (f":{event.tag}" if event.tag else "@")
    kind = "blob" if event.is_blob else "index" if event.is_index else "manifest"
    tag = "<referrer>" if event.tag and is_referrer_tag(event.tag) else event.tag
    return f"{event.action} {kind} {event.repository}" + (f":{tag}" if tag else "")


def one(events: list[Event], sentence: str) -> Event:
    (result,) = [event for event in events if meaning(event) == sentence]
    return result


@pytest.mark.parametrize("version", VERSIONS)
def test_every_sample_is_in_the_table(version: str) -> None:
    assert {file.stem for file in (SAMPLES / version).glob("*.json")} == set(CASES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_sample_means_what_the_registry_did(version: str, case: str) -> None:
    expected = [] if (version, case) == ("distribution-2.8.3", REFUSED_BY_2_8) else CASES[case]
    assert sorted(map(meaning, events_of(version, case))) == sorted(expected)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_event_says_who_when_and_from_where(version: str) -> None:
    for case in CASES:
        for event in events_of(version, case):
            assert event.id
            assert event.instance
            assert re.fullmatch(r"127\.0\.0\.1:\d+", event.address)
            assert 1_795_000_000_000_000 < event.at_us < RECORDED_AT_US
            assert not event.is_by_pushprune


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_tag_on_a_digest_and_a_repush_carry_the_same_digest(version: str) -> None:
    first = one(events_of(version, "01_skopeo_push_single"), "push manifest app/web:1.0")
    again = one(events_of(version, "02_skopeo_repush_identical_tag"), "push manifest app/web:1.0")
    latest = one(events_of(version, "03_same_digest_second_tag"), "push manifest app/web:latest")
    assert first.digest == again.digest == latest.digest
    assert first.at_us < again.at_us < latest.at_us
    assert first.id != again.id
    assert first.useragent == "skopeo/1.18.0"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_delete_by_digest_names_the_digest_once_and_each_tag_without_it(version: str) -> None:
    events = events_of(version, "17_manifest_delete_by_digest_two_tags")
    pulled = one(events_of(version, "07_pull_manifest_GET_tag"), "pull manifest app/m1:x")
    assert [event.digest for event in events if event.tag is None] == [pulled.digest]
    assert [event.digest for event in events if event.tag] == [None, None]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_children_of_an_index_are_known_where_references_are_sent(version: str) -> None:
    sent = events_of(version, "30_includereferences")
    pushed = {event.digest for event in sent if meaning(event) == "push manifest c/d"}
    children = one(sent, "push index c/d:ix").children
    assert children is not None
    assert set(children) == pushed
    assert one(sent, "push manifest c/d:x").children is None
    unsent = one(events_of(version, "04_multiarch_push_by_digest_children"), "push index app/multi:1.0")
    assert unsent.children is None


@pytest.mark.parametrize("version", VERSIONS)
def test_config_and_layers_of_a_manifest_are_known_where_references_are_sent(version: str) -> None:
    sent = events_of(version, "30_includereferences")
    image = one(sent, "push manifest c/d:x")
    assert image.blobs is not None
    assert [size for _, size in image.blobs] == [260, 200, 200]
    assert all(is_digest(blob) for blob, _ in image.blobs)
    assert all(event.blobs for event in sent if meaning(event) == "push manifest c/d"), "parts of an index too"
    assert one(sent, "push index c/d:ix").blobs is None
    assert one(events_of(version, "12_docker_schema2_push"), "push manifest app/dk:d1").blobs is None
    assert all(event.blobs is None for event in events_of(version, "10_pull_blob_GET"))
