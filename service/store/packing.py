"""Pack values into Redis and unpack them again."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from service.domain.history.entry import Entry
from service.domain.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, References
from service.domain.oci.names import is_digest
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import ManualDeletion, Tag, Untagged
from service.store.keys import long

_MORE = ("follows", "after", "kept_as", "recorded", "manual", "by")
_MEDIA = {OCI_MANIFEST: "oci", OCI_INDEX: "oci index", DOCKER_MANIFEST: "docker", DOCKER_LIST: "docker list"}
_TYPES = {word: media_type for media_type, word in _MEDIA.items()}
_LONGEST_TYPE = 255
# Docker images have 127 layers at most.
MOST_BLOBS = 128
# A manifest that does not exist has no config and no layers.
NO_LAYERS = "-"
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def pack_doomed(doomed: Doomed) -> str:
    """Return the JSON text of a digest to delete, as `doomed:R` holds it."""
    verdicts = [
        {"tag": v.tag.name, "pushed_us": v.tag.pushed_us, "size": v.tag.size_bytes, "reason": v.reason, "rule": v.rule}
        | {name: getattr(v, name) for name in _MORE if getattr(v, name)}
        for v in doomed.verdicts
    ]
    packed: dict[str, object] = {"digest": doomed.digest, "policy": doomed.policy, "verdicts": verdicts}
    packed |= {"trace": doomed.trace} if doomed.trace else {}
    return json.dumps(packed, separators=(",", ":"))


def unpack_doomed(text: str) -> Doomed:
    """Return the digest to delete behind a field of `doomed:R`."""
    packed = json.loads(text)
    digest = packed["digest"]
    return Doomed(
        digest,
        tuple(
            Verdict(
                Tag(v["tag"], digest, v["pushed_us"], v["size"]), False, v["reason"], v["rule"],
                **{name: v[name] for name in _MORE if name in v},
            )
            for v in packed["verdicts"]
        ),
        packed.get("policy", ""),
        packed.get("trace", ""),
    )  # fmt: skip


class DoomedImages:
    """The images to delete in one repository, which are read after each batch: only changed ones are unpacked again."""

    def __init__(self) -> None:
        self._by_text: dict[str, Doomed] = {}

    def unpack(self, texts: Iterable[str]) -> tuple[Doomed, ...]:
        """Return the images behind the fields of `doomed:R`."""
        self._by_text = {text: self._by_text.get(text) or unpack_doomed(text) for text in texts}
        return tuple(self._by_text.values())


def pack_manual(request: ManualDeletion) -> str:
    """Return the JSON text of a manual deletion, as `manual:R` holds it."""
    return json.dumps(asdict(request), separators=(",", ":"))


def unpack_manual(text: str) -> ManualDeletion:
    """Return the manual deletion behind a field of `manual:R`."""
    return ManualDeletion(**json.loads(text))


def pack_media(media_type: str) -> str:
    """Return the short word for a usual media type; other types unchanged."""
    return _MEDIA.get(media_type, media_type[:_LONGEST_TYPE])


def unpack_media(word: str) -> str:
    """Return the media type behind a short word."""
    return _TYPES.get(word, word)


def unpack_untagged(digest: str, text: str) -> Untagged:
    """Return the untagged manifest behind a field of untagged:R."""
    since_us, tag, *marks = text.split(" ")
    index = long(marks[1]) if marks[:1] == ["part"] and len(marks) == 2 else ""
    by_pushprune, started = marks == ["untagged"], marks == ["started"]
    return Untagged(long(digest), int(since_us), tag, index=index, by_pushprune=by_pushprune, started=started)


def unpack_revisions(text: str) -> tuple[str, ...]:
    """Return the digests that a tag pointed at before, newest first."""
    return tuple(dict.fromkeys(long(word.partition(":")[2]) for word in text.split()))


def unpack_entry(identifier: str, fields: Mapping[str, str], repository: str | None) -> Entry:
    """Return the entry behind a row of history:R or events. repository: used if the row names none."""
    return Entry(
        id=identifier,
        repository=fields.get("repository") or repository or "",
        action=fields["action"],
        tag=fields["tag"],
        digest=fields["digest"],
        size_bytes=int(fields["size"] or 0),
        actor=fields["actor"],
        useragent=fields["agent"],
        address=fields["address"],
        at_us=int(fields["at_us"]),
        reason=fields["reason"],
        rule=fields["rule"],
        media_type=unpack_media(fields.get("media", "")),
    )


def unpack_links(text: str) -> References | None:
    """Return the references of a manifest behind a field of `links:R`; None if they are not known."""
    _, *words = text.split()
    if words == ["?"]:
        return None
    named = [word.partition("=")[::2] for word in words]
    subjects = [digest for kind, digest in named if kind == "subject"]
    children = tuple(digest for kind, digest in named if kind == "child")
    readable = "unreadable" not in words
    return References(children=children, subject=subjects[0] if subjects else None, readable=readable)


def pack_links(references: References) -> str:
    """Return the words by which `links:R` holds the references of a manifest."""
    words = [f"child={child}" for child in references.children]
    words += [f"subject={references.subject}"] if references.subject else []
    words += [] if references.readable else ["unreadable"]
    return " ".join(words)


def pack_layers(blobs: Iterable[tuple[str, int]] | None) -> str:
    """Return one word for each blob, such as "RBNvo1Wz:hv7ls"; "" if they are unknown, unreadable or too many."""
    known = dict(blobs or ())
    if len(known) > MOST_BLOBS or not all(is_digest(blob) and 0 <= size < 2**53 for blob, size in known.items()):
        return ""
    return " ".join(f"{_mark(blob)}:{_in_base_36(size)}" for blob, size in known.items())


def unpack_layers(text: str) -> tuple[tuple[str, int], ...]:
    """Return (short digest, bytes) of each blob behind a field of `layers:R`."""
    pairs = (word.split(":") for word in text.split() if word != NO_LAYERS)
    return tuple((mark, int(size, 36)) for mark, size in pairs)


def _mark(digest: str) -> str:
    """Return the first 8 characters of the short digest.

    Here a digest of another algorithm than sha256 has a short form as well.
    """
    return base64.urlsafe_b64encode(bytes.fromhex(digest.partition(":")[2][:12])).decode()


def _in_base_36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, last = divmod(number, 36)
        digits = _BASE_36[last] + digits
    return digits
