"""Platforms, as an index and a config name them. Any other value is no platform."""

import json
from typing import Any

import pytest

from service.domain.oci.manifest import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from service.domain.oci.platform import platform_of_config, platforms_of_index


def index(*platforms: Any) -> bytes:
    return json.dumps({"manifests": [{"platform": platform} for platform in platforms]}).encode()


def test_an_index_names_those_of_its_parts_each_once_and_no_attestation() -> None:
    amd64, arm = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm", "variant": "v7"}
    attestation = {"os": "unknown", "architecture": "unknown"}
    for media_type in (OCI_INDEX, DOCKER_LIST):
        content = index(amd64, arm, attestation, amd64, None)
        assert platforms_of_index(media_type, content) == ("linux/amd64", "linux/arm/v7")
    assert platforms_of_index(OCI_MANIFEST, index(amd64)) == ()


def test_a_config_names_its_own() -> None:
    assert platform_of_config(b'{"os": "linux", "architecture": "arm64", "variant": "v8"}') == ("linux/arm64/v8",)
    assert platform_of_config(b'{"os": "linux", "architecture": "amd64", "variant": ""}') == ("linux/amd64",)


@pytest.mark.parametrize(
    "config",
    [b"", b"[]", b"{}", b'"linux"', b'{"os": 5, "architecture": "x"}', b'{"os": "a\\nb", "architecture": "x"}'],
)
def test_a_blob_that_is_no_config_names_no_platform(config: bytes) -> None:
    assert platform_of_config(config) == ()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"manifests": [5]}', b'{"manifests": [{"platform": 5}]}'])
def test_a_manifest_that_is_no_index_names_no_platforms(content: bytes) -> None:
    assert platforms_of_index(OCI_INDEX, content) == ()
