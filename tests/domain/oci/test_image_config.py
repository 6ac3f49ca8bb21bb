"""The creation date of an image: its config, and the date in it."""

import json

import pytest

from service.domain.oci.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, image_config, read_created
from tests.fakes.images import make_image, make_index, sha256


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_names_its_config(media_type: str) -> None:
    image = make_image("a", media_type=media_type)
    assert image_config(media_type, image.manifest) == sha256(image.blobs[0])


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (OCI_INDEX, make_index("a").manifest),
        (OCI_MANIFEST, b'{"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:1"}}'),
        (OCI_MANIFEST, b'{"config": []}'),
        (OCI_MANIFEST, b'{"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": 5}}'),
        (OCI_MANIFEST, b"[]"),
        (OCI_MANIFEST, b"not JSON"),
        (OCI_MANIFEST, b"[" * 100_000),
        ("text/plain", make_image("a").manifest),
    ],
)
def test_a_manifest_that_is_no_image_has_no_config(media_type: str, content: bytes) -> None:
    assert image_config(media_type, content) is None


@pytest.mark.parametrize(
    ("created", "us"),
    [
        ("2026-01-02T03:04:05Z", 1_767_323_045_000_000),
        ("2026-01-02T03:04:05.123456789Z", 1_767_323_045_123_456),
        ("2026-01-02T04:04:05.5+01:00", 1_767_323_045_500_000),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("2026-01-02T03:04:05", 0),
        ("yesterday", 0),
        (None, 0),
        (5, 0),
    ],
)
def test_a_plausible_creation_date_is_read_from_the_config(created: object, us: int) -> None:
    assert read_created(json.dumps({"created": created}).encode()) == us


@pytest.mark.parametrize("config", [b"", b"{}", b"[]", b"5", b"\xff", b"[" * 100_000])
def test_a_blob_that_is_no_config_has_no_creation_date(config: bytes) -> None:
    assert read_created(config) == 0
