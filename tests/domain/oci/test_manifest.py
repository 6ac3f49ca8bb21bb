"""References of a manifest are read from its bytes; unreadable ones are never guessed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    FOREIGN_LAYER_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    References,
    UnreadableManifest,
    media_type_of,
    read_references,
)
from tests.support.makers import digest_of

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def descriptor(name: str, size: int = 1) -> dict[str, Any]:
    return {"digest": digest_of(name), "size": size}


def read(media_type: str, body: Any) -> References:
    return read_references(media_type, json.dumps(body).encode())


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_needs_its_config_and_its_layers(media_type: str) -> None:
    image = {"config": descriptor("config", 7), "layers": [descriptor("l1", 10), descriptor("l2", 20)]}
    assert read(media_type, image) == References(
        blobs=((digest_of("config"), 7), (digest_of("l1"), 10), (digest_of("l2"), 20))
    )


@pytest.mark.parametrize("media_type", sorted(FOREIGN_LAYER_TYPES))
def test_an_image_does_not_need_foreign_layers(media_type: str) -> None:
    image = {"config": descriptor("config", 7), "layers": [descriptor("l1", 10) | {"mediaType": media_type}]}
    assert read(OCI_MANIFEST, image).blobs == ((digest_of("config"), 7),)


@pytest.mark.parametrize("layers", [{"layers": []}, {"layers": None}, {}])
def test_an_image_may_have_no_layers(layers: dict[str, Any]) -> None:
    assert read(OCI_MANIFEST, {"config": descriptor("config"), **layers}).blobs == ((digest_of("config"), 1),)


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_needs_its_children(media_type: str) -> None:
    index = {"manifests": [descriptor("amd64") | {"platform": {"os": "linux"}}, descriptor("arm64")]}
    assert read(media_type, index) == References(children=(digest_of("amd64"), digest_of("arm64")))


def test_an_empty_index_holds_nothing() -> None:
    assert read(OCI_INDEX, {"manifests": [], "annotations": {"a": "b"}}) == References()


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
def test_a_referrer_names_its_subject(media_type: str) -> None:
    referrer = {"config": descriptor("config"), "manifests": [], "subject": descriptor("image")}
    assert read(media_type, referrer).subject == digest_of("image")
    assert read(media_type, referrer | {"subject": None}).subject is None


@pytest.mark.parametrize(
    "media_type", [SCHEMA_1, "application/octet-stream", "", "APPLICATION/VND.OCI.IMAGE.INDEX.V1+JSON"]
)
def test_another_media_type_is_not_understood(media_type: str) -> None:
    with pytest.raises(UnreadableManifest, match="is not known to pushprune"):
        read(media_type, {"config": descriptor("config"), "layers": []})


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (OCI_MANIFEST, None),
        (OCI_MANIFEST, []),
        (OCI_MANIFEST, "manifest"),
        (OCI_MANIFEST, {}),
        (OCI_MANIFEST, {"config": None}),
        (OCI_MANIFEST, {"config": {"size": 1}}),
        (OCI_MANIFEST, {"config": {"digest": 5}}),
        (OCI_MANIFEST, {"config": {"digest": "d", "size": "big"}}),
        (OCI_MANIFEST, {"config": {"digest": "d", "size": None}}),
        (OCI_MANIFEST, {"config": descriptor("c"), "layers": {"digest": "d"}}),
        (OCI_MANIFEST, {"config": descriptor("c"), "layers": [None]}),
        (OCI_MANIFEST, {"config": descriptor("c"), "subject": "image"}),
        (OCI_MANIFEST, {"config": descriptor("c"), "subject": {"size": 1}}),
        (OCI_INDEX, []),
        (OCI_INDEX, {"manifests": 5}),
        (OCI_INDEX, {"manifests": "children"}),
        (OCI_INDEX, {"manifests": {"digest": "d"}}),
        (OCI_INDEX, {"manifests": [{"size": 1}]}),
        (OCI_INDEX, {"manifests": [{"digest": None}]}),
    ],
    ids=str,
)
def test_a_body_that_is_not_what_its_type_says_is_unreadable(media_type: str, body: Any) -> None:
    with pytest.raises(UnreadableManifest, match="the manifest is not what application/vnd"):
        read(media_type, body)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"config": ' + b"9" * 5_000 + b"}"])
def test_bytes_that_are_no_json_are_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableManifest):
        read_references(OCI_MANIFEST, content)


def test_an_index_that_lists_no_children_at_all_is_unreadable() -> None:
    """Without this, the children of an unknown manifest would count as unused (safety rule 9)."""
    with pytest.raises(UnreadableManifest):
        read(OCI_INDEX, {"config": descriptor("config"), "layers": []})


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (OCI_INDEX, {"manifests": [descriptor("shown")], "Manifests": [descriptor("needed")]}),
        (OCI_INDEX, {"manifests": [descriptor("shown") | {"DIGEST": digest_of("needed")}]}),
        (OCI_MANIFEST, {"config": descriptor("config"), "layers": [], "LAYERS": [descriptor("needed")]}),
        (OCI_MANIFEST, {"config": descriptor("config"), "layers": [descriptor("l1") | {"MEDIATYPE": "foreign"}]}),
        (OCI_MANIFEST, {"config": descriptor("config"), "ſubject": descriptor("needed")}),
    ],
)
def test_a_manifest_that_the_registry_reads_in_another_way_is_unreadable(media_type: str, body: Any) -> None:
    """The registry does not distinguish upper and lower case; the last of two such fields counts."""
    with pytest.raises(UnreadableManifest):
        read(media_type, body)


def test_annotations_may_have_any_names() -> None:
    image = {"config": descriptor("config"), "annotations": {"size": "1", "Size": "2"}}
    assert read(OCI_MANIFEST, image).blobs == ((digest_of("config"), 1),)


@pytest.mark.parametrize("text", [5, "", "x", "\ud800", f"{digest_of('a')} child={digest_of('b')}", "a" * 1000])
def test_a_reference_that_is_no_digest_is_unreadable(text: object) -> None:
    """Distribution 2.8 accepts any text as the digest of a subject, and the store separates references by spaces."""
    image = {"config": descriptor("config"), "layers": [], "subject": {"digest": text}}
    for media_type, body in ((OCI_MANIFEST, image), (OCI_INDEX, {"manifests": [{"digest": text}]})):
        with pytest.raises(UnreadableManifest):
            read(media_type, body)


def test_a_size_beyond_all_numbers_is_unreadable() -> None:
    with pytest.raises(UnreadableManifest):
        read_references(OCI_MANIFEST, b'{"config": {"digest": "sha256:%s", "size": 1e999}}' % (b"0" * 64))


def test_the_types_we_ask_for_are_images_and_indexes() -> None:
    assert set(MANIFEST_TYPES) == {OCI_MANIFEST, DOCKER_MANIFEST, *INDEX_TYPES}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["digest", "size", "x"]), inner),
    max_leaves=6,
)
BENT_BODIES = st.dictionaries(st.sampled_from(["config", "layers", "manifests", "subject"]), ANY_JSON) | ANY_JSON


@settings(deadline=None)
@given(st.sampled_from(MANIFEST_TYPES), BENT_BODIES.map(lambda body: json.dumps(body).encode()) | st.binary())
def test_any_bytes_are_references_or_unreadable(media_type: str, content: bytes) -> None:
    try:
        references = read_references(media_type, content)
    except UnreadableManifest:
        return
    digests = [*references.children, *(digest for digest, _ in references.blobs)]
    assert all(isinstance(digest, str) for digest in digests)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ({"schemaVersion": 2, "config": {}, "layers": []}, OCI_MANIFEST),
        ({"schemaVersion": 2, "manifests": []}, OCI_INDEX),
        ({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": {}}, DOCKER_MANIFEST),
        ({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": []}, DOCKER_LIST),
        ({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "manifests": []}, None),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX, "config": {}}, None),
        ({"schemaVersion": 2, "mediaType": "application/json", "config": {}}, None),
        ({"schemaVersion": 2}, None),
        ({"schemaVersion": 1, "signatures": []}, None),
        ([], None),
    ],
)
def test_the_type_that_a_registry_serves_bytes_with_is_told_where_it_is_certain(
    body: object, media_type: str | None
) -> None:
    assert media_type_of(json.dumps(body).encode()) == media_type


@pytest.mark.parametrize("content", [b"", b"null", b"\xff", b"[" * 100_000])
def test_a_text_that_is_no_manifest_has_no_type(content: bytes) -> None:
    assert media_type_of(content) is None
