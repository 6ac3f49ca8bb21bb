"""Requests at the gate: anything that is not understood counts as a write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.collection.gate import MOST_URI, WriteRequest, classify, client_of

DIGEST = "sha256:" + "ab" * 32
UPLOADS = "/v2/shop/api/blobs/uploads/"


@pytest.mark.parametrize(
    ("method", "uri", "write"),
    [
        ("GET", "/v2/shop/api/manifests/v1", WriteRequest("reads")),
        ("GET", UPLOADS + "uuid?_state=x", WriteRequest("reads")),
        ("OPTIONS", "/v2/", WriteRequest("reads")),
        ("HEAD", "/v2/shop/api/manifests/v1", WriteRequest("reads")),
        ("HEAD", f"/v2/shop/api/blobs/{DIGEST}", WriteRequest("asks", "shop/api", DIGEST)),
        ("HEAD", f"/v2/shop/api/blobs/{DIGEST.replace(':', '%3A')}", WriteRequest("asks", "shop/api", DIGEST)),
        ("POST", UPLOADS, WriteRequest("begins", "shop/api")),
        ("POST", UPLOADS.rstrip("/"), WriteRequest("begins", "shop/api")),
        ("POST", f"{UPLOADS}?mount={DIGEST}&from=shop/web", WriteRequest("begins", "shop/api", DIGEST)),
        (
            "POST",
            f"{UPLOADS}?from=shop%2Fweb&mount={DIGEST.replace(':', '%3A')}",
            WriteRequest("begins", "shop/api", DIGEST),
        ),
        ("POST", f"{UPLOADS}?digest={DIGEST}", WriteRequest("begins", "shop/api", DIGEST)),
        ("PATCH", UPLOADS + "0b5a-11?_state=e30=", WriteRequest("uploads", "shop/api")),
        ("PUT", f"{UPLOADS}0b5a-11?_state=e30%3D&digest={DIGEST}", WriteRequest("uploads", "shop/api", DIGEST)),
        ("DELETE", UPLOADS + "0b5a-11", WriteRequest("uploads", "shop/api")),
        ("PUT", "/v2/shop/api/manifests/v1", WriteRequest("manifest", "shop/api", by_tag=True, reference="v1")),
        ("PUT", f"/v2/shop/api/manifests/{DIGEST}", WriteRequest("manifest", "shop/api", reference=DIGEST)),
        ("DELETE", "/v2/shop/api/manifests/v1", WriteRequest("deletes", "shop/api")),
        ("DELETE", f"/v2/shop/api/blobs/{DIGEST}", WriteRequest("deletes", "shop/api")),
        ("put", "/v2/shop/api/manifests/v1", WriteRequest("manifest", "shop/api", by_tag=True, reference="v1")),
        (
            "PUT",
            "http://registry.example/v2/shop/api/manifests/v1",
            WriteRequest("manifest", "shop/api", by_tag=True, reference="v1"),
        ),
    ],
)
def test_a_request_is_known_by_its_method_and_path(method: str, uri: str, write: WriteRequest) -> None:
    assert classify(method, uri) == write


@pytest.mark.parametrize(
    ("method", "uri"),
    [
        ("PUT", "/v2/shop/api/manifests/"),
        ("PUT", "/v2/Shop/manifests/v1"),
        ("PUT", "/v2/" + "a/" * 128 + "a/manifests/v1"),
        ("PUT", "/v2/shop/api/manifests/v1%0A"),
        ("PUT", "/v2/shop/api/manifests/%ff"),
        ("PUT", "/v2/shop/api/manifests/v1" + "?" + "a=1&" * 100),
        ("PUT", "//[/v2/"),
        ("GET", "/v2/" + "a" * MOST_URI),
        ("PROPFIND", "/v2/shop/api/manifests/v1"),
        ("", ""),
        ("POST", "/v2/shop/api/manifests/v1"),
        ("PATCH", UPLOADS),
    ],
)
def test_a_request_that_is_not_understood_counts_as_a_write(method: str, uri: str) -> None:
    assert classify(method, uri) == WriteRequest("writes")


def test_only_a_digest_is_taken_for_one() -> None:
    assert classify("POST", UPLOADS + "?mount=sha256:../x&from=y") == WriteRequest("begins", "shop/api")


@given(st.text(max_size=200), st.text(max_size=300))
def test_nothing_that_is_sent_gets_past_the_grammar(method: str, uri: str) -> None:
    write = classify(method, uri)
    assert not set(write.repository + write.digest) & set(" ~*\n\r\0")
    assert write.kind != "reads" or method.upper() in ("GET", "HEAD", "OPTIONS")


@pytest.mark.parametrize("address", ["10.0.0.7:4711", "10.0.0.7", " 10.0.0.7 , 10.1.1.1"])
def test_a_client_has_the_same_name_at_the_gate_and_in_a_notification(address: str) -> None:
    assert client_of(address, "docker/29") == client_of("10.0.0.7", "docker/29")
    assert client_of(address, "docker/29") != client_of(address, "skopeo/1")
    assert client_of("[fe80::1]:4711", "x") == client_of("fe80::1", "x")


@given(st.text(max_size=100), st.text(max_size=400))
def test_a_client_is_one_word(address: str, agent: str) -> None:
    name = client_of(address, agent)
    assert len(name) < 60
    assert not set(name) & set(" ~*\n")
