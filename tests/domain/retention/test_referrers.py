"""The referrers of an image: by the names of their tags, by subject, and those of the parts of an index."""

from typing import Any

from service.domain.oci.manifest import References
from service.domain.retention.referrers import referrers
from service.domain.retention.state import State, Tag
from tests.support.makers import digest_of, tag

IMAGE, PART = digest_of("v1"), digest_of("part")


def of(digest: str, suffix: str = "") -> str:
    return f"sha256-{digest.removeprefix('sha256:')}{suffix}"


def state(*tags: Tag, **more: Any) -> State:
    return State(repository="shop/api", tags=tags, **more)


def test_the_name_of_a_tag_says_what_it_refers_to_and_as_what() -> None:
    names = [of(IMAGE, suffix) for suffix in ("", ".att", ".sbom", ".sig")]
    known = referrers(state(tag("v1"), *map(tag, names)), {})
    assert [(item.tag, item.kind) for item in known[IMAGE]] == list(
        zip(names, ["referrer list", "attestation", "SBOM", "signature"], strict=True)
    )


def test_a_manifest_without_a_tag_refers_to_its_subject() -> None:
    (referrer,) = referrers(state(tag("v1"), links={digest_of("note"): References(subject=IMAGE)}), {})[IMAGE]
    assert (referrer.tag, referrer.digest, referrer.kind) == ("", digest_of("note"), "referrer")


def test_a_signature_of_a_part_belongs_to_its_index() -> None:
    signed = state(tag("v1"), tag(of(PART, ".sig")))
    assert [item.kind for item in referrers(signed, {PART: IMAGE})[IMAGE]] == ["signature"]


def test_a_referrer_of_an_image_without_a_tag_belongs_to_none() -> None:
    signed = state(tag("v1"), tag(of(PART, ".sig")))
    assert referrers(signed, {}) == {}
    assert referrers(signed, {PART: digest_of("a"), digest_of("a"): PART}) == {}
