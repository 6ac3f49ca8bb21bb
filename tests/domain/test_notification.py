"""Notifications are understood event by event; an unintelligible event is set aside with its one reason."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import MalformedNotification
from service.domain.events import MOST_REFERENCES, parse
from service.domain.oci.manifest import DOCKER_LIST, FOREIGN_LAYER_TYPES, OCI_INDEX
from service.domain.oci.names import is_digest, is_repository, is_tag
from tests.support.makers import blob_event, digest_of, envelope, event, understood, us

BAD_REPOSITORY = "target.repository: no repository can have that name"
BAD_TAG = "target.tag: no tag can have that name"
BAD_DIGEST = "target.digest: that is no digest"
NO_DIGEST = "target.digest: it is missing"
BAD_TIME = "timestamp: it is not of this time; compare the clocks of the registry and of this machine"
BAD_ACTION = "action: Input should be 'push', 'pull', 'mount' or 'delete'"

BAD_REPOSITORIES = [
    "", "/", ".", "..", "../etc", "a/..", "a/../b", "/a", "a/", "a//b", "a..b", "-a", "a-", "_a", "Shop", "shop/Api",
    "a\nb", "a\n", "\na", "a\r\n", "a b", "a\tb", "a\x00", "{a}", "a{b}", "a*", "a?", "[a]", "a\\b", "a:b", "a@b",
    "a%2fb", "é", "а", "☃", "٣", "a" * 256, "a/" * 128 + "a",
]  # fmt: skip
BAD_TAGS = [
    ".", "..", "../v1", "v1/..", "a/b", "-v1", ".v1", "v1\n", "\nv1", "v\n1", "v1\r", "v 1", "v1\x00", "{v1}", "v{1}",
    "v*", "v?", "[v]", "v\\1", "v:1", "v@1", "v+1", "vé", "ѵ1", "☃", "v٣", "a" * 129,
]  # fmt: skip
BAD_DIGESTS = [
    "x", "sha256:", "sha256:abc", "sha256:" + "g" * 64, "sha256:" + "a" * 129, "a" * 64, ":" + "a" * 64,
    "sha256:" + "a" * 64 + "\n", "sha256:" + "a" * 64 + " ", "SHA256:" + "a" * 64, "../sha256:" + "a" * 64,
    "sha256:" + "а" * 64, "sha256:" + "٣" * 64,
]  # fmt: skip


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in event().items() if name != key}


def target(**changed: Any) -> dict[str, Any]:
    return event(target=event()["target"] | changed)


BAD_EVENTS: dict[str, tuple[Any, str]] = {
    "no id": (without("id"), "id: Field required"),
    "an empty id": (event(id=""), "id: String should have at least 1 character"),
    "a giant id": (event(id="x" * 129), "id: String should have at most 128 characters"),
    "a number as id": (event(id=5), "id: Input should be a valid string"),
    "no timestamp": (without("timestamp"), "timestamp: Field required"),
    "a timestamp without zone": (event(timestamp="2023-11-14T22:13:20"), "timestamp: it has no time zone"),
    "a date": (event(timestamp="2023-11-14"), "timestamp: it has no time zone"),
    "a timestamp of the year 1": (event(timestamp="0001-01-01T00:00:00Z"), BAD_TIME),
    "the last timestamp there is": (event(timestamp="9999-12-31T23:59:59.999999-23:59"), BAD_TIME),
    "a list as timestamp": (event(timestamp=[]), "timestamp: Input should be a valid datetime"),
    "no action": (without("action"), "action: Field required"),
    "an unknown action": (event("rename"), BAD_ACTION),
    "a capital action": (event("Push"), BAD_ACTION),
    "no target": (without("target"), "target: Field required"),
    "a repository that is a number": (target(repository=7), "target.repository: Input should be a valid string"),
    "a tag that is a list": (target(tag=["v1"]), "target.tag: Input should be a valid string"),
    "a digest that is a number": (target(digest=7), "target.digest: Input should be a valid string"),
    "a push without digest": (target(digest=""), NO_DIGEST),
    "a push with a null digest": (target(digest=None), NO_DIGEST),
    "a delete of nothing": (event("delete", target={"repository": "shop/api", "digest": "", "tag": ""}), NO_DIGEST),
    "a negative size": (target(size=-1), "target.size: Input should be greater than or equal to 0"),
    "a size no disk has": (target(size=2**53), "target.size: Input should be less than 9007199254740992"),
    "a size in words": (target(size="512"), "target.size: Input should be a valid integer"),
    "references that are no list": (target(references={}), "target.references: Input should be a valid list"),
    "a useragent that is a list": (
        event(request={"useragent": []}),
        "request.useragent: Input should be a valid string",
    ),
}
NO_EVENTS: tuple[Any, ...] = (None, 5, True, "push", [], [[[]]], math.pi)


def test_every_field_of_a_push_is_read() -> None:
    (push,) = understood(event("push", "shop/api", "v1", "d", at=1.25, actor="alice", instance="i")).events
    assert (push.action, push.repository, push.tag, push.digest) == ("push", "shop/api", "v1", digest_of("d"))
    assert (push.at_us, push.size_bytes, push.actor, push.useragent) == (us(1.25), 0, "alice", "docker/29")
    assert (push.address, push.instance, push.children) == ("10.0.0.7:4711", "i", None)


@pytest.mark.parametrize(
    ("sent", "at_us"),
    [
        ("2023-11-14T22:13:20Z", us(0)),
        ("2023-11-14T23:13:20.5+01:00", us(0.5)),
        ("2023-11-14T22:13:20.123456789Z", us(0.123456)),
    ],
)
def test_the_time_is_the_registrys_in_whole_microseconds(sent: str, at_us: int) -> None:
    assert understood(event(timestamp=sent)).events[0].at_us == at_us


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_an_event_that_cannot_be_understood_is_set_aside_and_the_others_count(name: str) -> None:
    bad, reason = BAD_EVENTS[name]
    parsed = understood(event(tag="before"), bad, event(tag="after"))
    assert [event.tag for event in parsed.events] == ["before", "after"]
    assert [rejected.reason for rejected in parsed.rejected] == [reason]


@pytest.mark.parametrize("bad", NO_EVENTS, ids=repr)
def test_an_event_that_is_no_object_is_set_aside(bad: object) -> None:
    parsed = understood(event(tag="before"), bad, event(tag="after"))
    assert [event.tag for event in parsed.events] == ["before", "after"]
    assert [rejected.excerpt for rejected in parsed.rejected] == [json.dumps(bad)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        *[(target(repository=name), BAD_REPOSITORY) for name in BAD_REPOSITORIES],
        *[(target(tag=name), BAD_TAG) for name in BAD_TAGS],
        *[(target(digest=name), BAD_DIGEST) for name in BAD_DIGESTS],
    ],
    ids=lambda value: None if isinstance(value, dict) else value.split(":")[0],
)
def test_names_that_break_the_registrys_grammar_are_set_aside(bad: dict[str, Any], reason: str) -> None:
    parsed = understood(event(tag="before"), bad, event(tag="after"))
    assert [event.tag for event in parsed.events] == ["before", "after"]
    assert [rejected.reason for rejected in parsed.rejected] == [reason]


@pytest.mark.parametrize("name", ["a", "a/b/c/d", "a.b", "a_b", "a__b", "a--b", "0", "a" * 255, "a/" * 127 + "a"])
def test_every_name_the_registry_takes_is_a_repository(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize("name", ["v1", "V1", "_", "1", "a..b", "a.-_b", "sha256-" + "a" * 64 + ".sig", "a" * 128])
def test_every_name_the_registry_takes_is_a_tag(name: str) -> None:
    assert is_tag(name)


@pytest.mark.parametrize("digest", ["sha256:" + "a" * 64, "sha512:" + "0" * 128, "sha256+b64:" + "a" * 32])
def test_every_algorithm_gives_a_digest(digest: str) -> None:
    assert is_digest(digest)


def test_no_event_counts_as_later_than_its_receipt_and_what_one_envelope_brings_keeps_its_order() -> None:
    late = [event(tag=f"v{number}", at=500 - number) for number in range(3)]
    first, second, third = parse(envelope(*late), us(0)).events
    assert first.at_us < second.at_us < third.at_us == us(0)


def test_an_event_may_be_ten_minutes_ahead_of_our_clock_and_no_more() -> None:
    early, late = event(tag="early", at=600), event(tag="late", at=600.000001)
    parsed = parse(envelope(early, late), us(0))
    assert [event.tag for event in parsed.events] == ["early"]
    assert [rejected.reason for rejected in parsed.rejected] == [BAD_TIME]


@pytest.mark.parametrize("body", [b"", b"x", b"{", b"\xff\xfe", b"\x00", b'{"events": []} {}', b'{"events": [NaN]}',
                                  b'{"events": [-Infinity]}', b"[" * 100_000, b'{"events": [' + b"[" * 100_000,
                                  b'{"events": [' + b"9" * 5_000 + b"]}"])  # fmt: skip
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedNotification, match=r"^the body is not JSON: "):
        parse(body, us(0))


@pytest.mark.parametrize("body", [b"null", b"[]", b"5", b'"events"', b"{}", b'{"Events": []}', b'{"events": {}}',
                                  b'{"events": null}', b'{"events": "push"}'])  # fmt: skip
def test_json_without_a_list_of_events_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedNotification) as raised:
        parse(body, us(0))
    assert str(raised.value) == 'the body is no envelope; expected {"events": […]}'


def test_an_empty_envelope_is_none_the_worse() -> None:
    assert understood() == parse(b'{"events": [], "more": 1}', us(0))


def test_depth_in_parts_that_are_not_read_does_no_harm() -> None:
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    parsed = understood(event(unknown=deep), deep)
    assert len(parsed.events) == len(parsed.rejected) == 1


def test_an_excerpt_is_short_and_shows_no_raw_control_characters() -> None:
    (rejected,) = understood(event(id="\x00\n\x1b" * 1000)).rejected
    assert len(rejected.excerpt) <= 1024
    assert rejected.excerpt.isprintable()


def test_foreign_layers_do_not_count() -> None:
    sent = event(blobs={"config": 7, "base": 9_000_000, "own": 5})
    sent["target"]["references"][1]["mediaType"] = sorted(FOREIGN_LAYER_TYPES)[0]
    (push,) = understood(sent).events
    assert push.blobs == ((digest_of("config"), 7), (digest_of("own"), 5))


def test_more_references_than_any_image_has_are_not_read() -> None:
    """The manifest itself says what it needs, and reading so many takes longer than the registry waits."""
    sent = event()
    sent["target"]["references"] = [{"digest": digest_of("layer"), "size": 1}] * MOST_REFERENCES
    assert understood(sent).events[0].blobs is not None
    sent["target"]["references"] *= 2
    assert understood(sent).events[0].blobs is None


def test_a_manifest_that_is_not_understood_has_no_known_layers() -> None:
    (push,) = understood(event(blobs={"config": 7}, media_type="application/vnd.unheard.of+json")).events
    assert push.blobs is None


def test_long_texts_from_clients_are_cut() -> None:
    message = event(actor="é" * 1000, useragent="u" * 1000, instance="i" * 1000, media_type="m" * 1000)
    message["request"]["addr"] = "a" * 1000
    (cut,) = understood(message).events
    assert [len(text) for text in (cut.actor, cut.useragent, cut.instance, cut.media_type, cut.address)] == [
        128, 256, 64, 255, 64,
    ]  # fmt: skip


def test_a_field_that_is_absent_or_null_is_empty() -> None:
    (bare,) = understood({k: event()[k] for k in ("id", "timestamp", "action", "target")}).events
    null = {"actor": {"name": None}, "request": {"useragent": None, "addr": None}, "source": {"instanceID": None}}
    (nulls,) = understood(event() | null).events
    assert (bare.actor, bare.useragent, bare.address, bare.instance) == ("", "", "", "")
    assert (nulls.actor, nulls.useragent, nulls.address, nulls.instance) == ("", "", "", "")


def test_a_tagless_event_has_no_tag_whether_it_is_left_out_or_empty() -> None:
    assert [event.tag for event in understood(target(tag=""), event(tag=None)).events] == [None, None]


def test_layers_and_mounts_are_blobs_and_images_are_not() -> None:
    mount = event("mount", tag=None, media_type="application/vnd.oci.image.layer.v1.tar+gzip")
    parsed = understood(blob_event(), blob_event("pull"), mount, event(), event("delete", tag=None))
    assert [event.is_blob for event in parsed.events] == [True, True, True, False, False]


@pytest.mark.parametrize("listed", [OCI_INDEX, DOCKER_LIST, "", "application/vnd.example+json"])
def test_an_index_that_may_list_another_one_must_be_looked_into(listed: str) -> None:
    pushed = event(media_type=OCI_INDEX, children=("a", "b"))
    pushed["target"]["references"][1]["mediaType"] = listed
    (push,) = understood(pushed).events
    assert (push.children, push.needs_its_manifest) == (None, True)


def test_children_are_known_only_of_an_index_that_lists_real_digests() -> None:
    def children(*listed: str, media_type: str = OCI_INDEX) -> tuple[str, ...] | None:
        return understood(event(media_type=media_type, children=listed)).events[0].children

    assert children("a", "b") == (digest_of("a"), digest_of("b"))
    assert children() is None
    assert children("a", "sha256:zz") is None
    assert children("a", media_type="application/vnd.oci.image.manifest.v1+json") is None


ANY_TEXT = st.text(st.characters(), max_size=20)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
EVENT_KEYS = ("id", "timestamp", "action", "target", "request", "actor", "source")
TARGET_KEYS = ("repository", "tag", "digest", "mediaType", "size", "references")
BENT_TARGETS = st.dictionaries(st.sampled_from(TARGET_KEYS), ANY_JSON).map(lambda bent: event()["target"] | bent)
BENT_EVENTS = st.dictionaries(st.sampled_from(EVENT_KEYS), ANY_JSON).map(lambda bent: event() | bent)
EVENTS = st.lists(ANY_JSON | BENT_EVENTS | BENT_TARGETS.map(lambda bent: event(target=bent)), max_size=4)


@settings(deadline=None)
@given(
    st.binary() | st.binary().map(lambda tail: b'{"events": [' + tail) | ANY_JSON.map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_an_envelope_or_malformed(body: bytes) -> None:
    try:
        parse(body, us(0))
    except MalformedNotification:
        return


@settings(deadline=None)
@given(EVENTS)
def test_every_event_of_an_envelope_is_either_understood_or_rejected(events: list[Any]) -> None:
    try:
        parsed = parse(envelope(*events), us(0))
    except MalformedNotification:
        return
    assert len(parsed.events) + len(parsed.rejected) == len(events)
    for item in parsed.events:
        assert is_repository(item.repository)
        assert item.tag is None or is_tag(item.tag)
        assert item.digest is None or is_digest(item.digest)
        assert item.digest or (item.action == "delete" and item.tag)
    assert all(rejected.reason and len(rejected.excerpt) <= 1024 for rejected in parsed.rejected)
