"""The parts that manifests list: config and layers, or images with their platforms."""

import json

from service.domain.oci.image_parts import ImagePart, image_parts
from service.domain.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.support.makers import CONFIG, LAYER, digest_of

C, L = digest_of("c"), digest_of("l")


def test_an_image_has_its_config_and_its_layers() -> None:
    manifest = {
        "config": {"mediaType": CONFIG, "digest": C, "size": 10},
        "layers": [{"mediaType": LAYER, "digest": L, "size": 20}],
    }
    assert image_parts(OCI_MANIFEST, json.dumps(manifest).encode()) == (
        ImagePart("config", C, 10, CONFIG),
        ImagePart("layer", L, 20, LAYER),
    )


def test_an_index_has_images_with_platforms() -> None:
    parts = [{"digest": L, "size": 5, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}]
    assert image_parts(OCI_INDEX, json.dumps({"manifests": parts}).encode()) == (
        ImagePart("manifest", L, 5, "", "linux/arm/v7"),
    )


def test_a_manifest_that_cannot_be_read_has_no_parts() -> None:
    for content in (b"{", b"[]", b'{"layers": [{"digest": 7}]}', b'{"manifests": 7}'):
        assert image_parts(OCI_INDEX, content) == image_parts(OCI_MANIFEST, content) == ()
    assert image_parts("text/plain", b"{}") == ()
