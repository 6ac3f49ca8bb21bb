"""Facts about tags and manifests that workers read at the registry: record them, and return them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.oci.manifest import References
from service.domain.retention.ranking import is_believable
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.keys import long, short
from service.store.limits import Limits
from service.store.live_tags import pack_actor
from service.store.outbox import RESEND_MS
from service.store.packing import NO_LAYERS, pack_layers, pack_links, pack_media, unpack_layers
from service.store.snapshot import Snapshot

_UNANNOUNCED = "counts as pushed when it was first seen, and is not counted by `last`: its push was not reported"
_UNSAID = (
    "counts as pushed when it was first seen, and is not counted by `last`: its config has no usable creation date"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """The facts that a worker read about a live tag.

    Attributes:
        is_index: the tag's manifest is an index.
        link_us: when the tag's link in the storage was written (µs), if the push was reported with a later time;
            else None.
    """

    tag: Tag
    is_index: bool
    link_us: int | None = None


class RegistryFacts:
    """The facts in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits | None = None) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._limits = limits or Limits()

    def adopt(
        self,
        snapshot: Snapshot,
        tags: Iterable[tuple[Tag, str]] = (),
        vanished: Iterable[str] = (),
        indexes: frozenset[str] = frozenset(),
        media_types: Mapping[str, str] | None = None,
        *,
        complete: bool = False,
        keep_plan: bool = False,
        lost: bool = False,
    ) -> int:
        """Take over the tags that a comparison found at the registry; return how many tags changed.

        A tag that was touched since the snapshot is left alone.

        Args:
            tags: tags that are unknown or point at another digest (pushed_us None: push time unknown), each with the
                source of its push time, "" for none.
            vanished: names of tags that do not exist any more.
            indexes: digests among these tags that are indexes.
            media_types: digest → media type, as far as it was seen.
            complete: every tag was compared, so that the repository counts as compared.
            keep_plan: all that vanished was doomed itself, so that the plan is still valid.
            lost: neither the registry nor the trash has the images of the vanished tags: healing cannot restore them.
        """
        before = {tag.name: tag.pushed_us or 0 for tag in snapshot.tags}
        rows = [
            {
                "tag": tag.name,
                "digest": tag.digest,
                "short": short(tag.digest),
                "size": tag.size_bytes,
                "pushed_us": tag.pushed_us or 0,
                "is_index": tag.digest in indexes,
                "before_us": before.get(tag.name),
                "source": source,
                "actor": pack_actor(tag),
                "media": pack_media((media_types or {}).get(tag.digest, "")),
            }
            for tag, source in tags
        ]
        changed = self._connection.run(
            "adopt",
            snapshot.repository,
            **self._limits.of_history,
            epoch=snapshot.epoch if complete else "",
            keep_plan=keep_plan,
            lost=lost,
            resend_ms=RESEND_MS,
            found=rows,
            vanished=[{"tag": name, "before_us": before.get(name)} for name in vanished],
        )
        return int(changed)

    def resolve(self, snapshot: Snapshot, learnt: Mapping[str, References | None]) -> int:
        """Record the references of manifests; return how many entries changed.

        learnt: None means that the manifest does not exist; that counts only if nothing happened since the snapshot.
        """
        rows = []
        for digest, references in learnt.items():
            rows.append(_links_row(digest, "missing" if references is None else pack_links(references)))
            rows += [_links_row(nested, "?") for nested in (references.indexes if references else ())]
        changed = self._resolve(snapshot, learnt=rows, moved=_moved(snapshot, learnt))
        known = {digest: references for digest, references in learnt.items() if references}
        self.learn(snapshot.repository, known)
        return changed

    def find_referrers(self, snapshot: Snapshot, referrers: Mapping[str, tuple[int, References]]) -> int:
        """Record untagged referrers whose push was not reported: digest → when it was pushed (µs), its references."""
        rows = [
            {"pushed_us": pushed_us, **_links_row(digest, pack_links(references))}
            for digest, (pushed_us, references) in referrers.items()
        ]
        return self._resolve(snapshot, referrers=rows) if rows else 0

    def _resolve(
        self,
        snapshot: Snapshot,
        learnt: Sequence[Mapping[str, str]] = (),
        moved: Sequence[Mapping[str, str]] = (),
        referrers: Sequence[Mapping[str, object]] = (),
    ) -> int:
        changed = self._connection.run(
            "resolve",
            snapshot.repository,
            made_from=snapshot.generation,
            resend_ms=RESEND_MS,
            learnt=learnt,
            moved=moved,
            referrers=referrers,
        )
        return int(changed)

    def prove(self, snapshot: Snapshot, proofs: Iterable[Proof]) -> int:
        """Record the facts that a worker read about tags; return for how many tags that is new.

        A tag that was pushed since the snapshot is left alone.
        """
        rows = [
            {
                "tag": proof.tag.name,
                "digest": proof.tag.digest,
                "short": short(proof.tag.digest),
                "is_index": proof.is_index,
                "pushed_us": proof.tag.pushed_us or 0,
                "link_us": proof.link_us,
            }
            for proof in proofs
        ]
        if not rows:
            return 0
        changed = self._connection.run(
            "prove", snapshot.repository, **self._limits.of_history, resend_ms=RESEND_MS, proofs=rows
        )
        return int(changed)

    def date(self, snapshot: Snapshot, created: Mapping[str, int]) -> None:
        """Record the creation dates of images: digest → µs, 0 if the config has none.

        The date counts as the push time of tags whose push was not seen. If it is not believable, or the tag was only
        unannounced, the age of the tag is unknown: the tag counts as pushed now, and takes no slot.
        """
        if not created:
            return
        unseen = [tag for tag in snapshot.tags if tag.pushed_us is None and tag.digest in created]
        dated = [
            {
                "tag": tag.name,
                "digest": tag.digest,
                "short": short(tag.digest),
                "created_us": created[tag.digest] if is_believable(created[tag.digest]) and not tag.unannounced else 0,
                "source": _UNANNOUNCED if tag.unannounced else _UNSAID,
            }
            for tag in unseen
        ]
        images = [{"short": short(digest), "created_us": created_us} for digest, created_us in created.items()]
        self._connection.run("date", snapshot.repository, **self._limits.of_history, images=images, dated=dated)

    @property
    def most_layers(self) -> int:
        """The number of manifests of a repository whose config and layers are remembered."""
        return self._limits.repository_layers

    def learn(self, repository: str, fetched: Mapping[str, References | None]) -> None:
        """Remember the config and layers of fetched manifests; an index has none. None: the manifest does not exist."""
        packed = {
            short(digest): pack_layers(references.blobs) if references else NO_LAYERS
            for digest, references in fetched.items()
        }
        rows = [{"short": digest, "layers": layers} for digest, layers in packed.items() if layers]
        if rows:
            self._connection.run("learn", repository, max_layers=self._limits.repository_layers, manifests=rows)

    def layers(self, repository: str, of: Iterable[str] | None = None) -> dict[str, tuple[tuple[str, int], ...]]:
        """Return the known config and layers: digest of a manifest → (mark of the blob, size in bytes) of each.

        of: the digests to return; None: all.
        """
        key, asked = (
            self._keys.of("layers", repository),
            None if of is None else tuple({short(digest) for digest in of}),
        )
        client = self._connection.redis
        if asked is None:
            packed = client.hgetall(key)
        else:
            packed = dict(zip(asked, client.hmget(key, asked), strict=True)) if asked else {}
        return {long(digest): unpack_layers(text) for digest, text in packed.items() if text}


def _moved(snapshot: Snapshot, learnt: Mapping[str, References | None]) -> list[dict[str, str]]:
    """Return the tags that pointed at parts of these indexes before, each with the index."""
    parts = {index: frozenset(known.children) for index, known in learnt.items() if known and known.children}
    return [
        {"tag": tag, "index": index, "short": short(index)}
        for tag, digests in (snapshot.revisions.items() if parts else ())
        for index, children in parts.items()
        if not children.isdisjoint(digests)
    ]


def _links_row(digest: str, links: str) -> dict[str, str]:
    return {"digest": digest, "short": short(digest), "links": links}
