"""The trash: deleted manifests, kept until they can no longer be restored."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import NamedTuple

from service.clock import now_us
from service.domain.errors import TrashUnwritable
from service.domain.history.entry import Deleted
from service.domain.oci.manifest import references_of
from service.domain.retention.plan import Doomed
from service.store.chunks import by_score, chunks
from service.store.connection import Connection
from service.store.keys import long, short
from service.store.outbox import LOOK_AGAIN_MS
from service.store.packing import pack_doomed
from service.store.snapshot import Snapshot

_AT_ONCE = 1000
_PAGE = 200
_REPOSITORIES_AT_ONCE = 200
_MOST_FIELDS = 2_000


@dataclass(frozen=True, slots=True)
class TrashedManifest:
    """A manifest in the trash: its media type, its bytes, and when it was put there (µs since the epoch)."""

    digest: str
    media_type: str
    content: bytes
    at_us: int


class SaveResult(IntEnum):
    """The result of putting a manifest into the trash."""

    RESCUED = 0
    SAVED = 1
    LEASED = 2
    MISSING = 3
    FULL = 4


_FULL = (
    "the trash has no room, as more than 90% of the memory of Redis (maxmemory) is in use, so nothing more is deleted: "
    "raise maxmemory, or run a garbage collection (pushprune gc --now), which empties the trash; an online collection "
    "empties it only after gc.grace and gc.quarantine"
)


class Trash:
    """The trash in Redis. Every method raises StoreUnavailable when Redis is away.

    Args:
        life_s: how long an entry is kept at most.
        look_again_ms: how long the DELETE that follows can be on its way.
        also: called with each image (repository, the doomed image, media type and bytes) before `save` returns. If it
            raises, the image must not be deleted.
    """

    def __init__(
        self,
        connection: Connection,
        life_s: int,
        look_again_ms: int = LOOK_AGAIN_MS,
        also: Callable[[str, Doomed, tuple[str, bytes] | None], object] = lambda *_: None,
    ) -> None:
        self._also = also
        self.look_again_ms = look_again_ms
        self._connection = connection
        self._keys = connection.keys
        self._life_s = life_s

    def save(self, snapshot: Snapshot, doomed: Doomed, manifest: tuple[str, bytes] | None) -> SaveResult:
        """Keep a manifest (media type, bytes) right before its DELETE is sent; None: only tags are to be deleted.

        Args:
            snapshot: the state that the deletion was made from. It lists the parts of an index, at any depth.

        Returns:
            RESCUED: the image was pushed again or planned again, or the registry has restarted since the snapshot, so
            that events may be missing. LEASED: the image, or a part of it, is leased.

        Raises:
            TrashUnwritable: Redis, or the folder for deleted images, has no room for it.
        """
        entry = ""
        if manifest is not None:
            content = base64.b64encode(manifest[1]).decode()
            entry = json.dumps({"media_type": manifest[0], "content": content, "at_us": str(now_us())})
        put = self._put(snapshot, doomed, entry)
        if put is SaveResult.FULL:
            raise TrashUnwritable(_FULL)
        if put is SaveResult.SAVED:
            # This may raise, and must come before the DELETE: the image must then not be deleted.
            self._also(snapshot.repository, doomed, manifest)
        return put

    def save_again(self, snapshot: Snapshot, doomed: Doomed) -> SaveResult:
        """Keep a manifest, like `save`, that entered the trash when its last tag was deleted.

        MISSING: it is not in the trash any more.
        """
        return self._put(snapshot, doomed, "again")

    def _put(self, snapshot: Snapshot, doomed: Doomed, entry: str) -> SaveResult:
        result = self._connection.run(
            "save_to_trash",
            snapshot.repository,
            digest=doomed.digest,
            short=short(doomed.digest),
            entry=entry,
            life_s=self._life_s,
            again_ms=self.look_again_ms,
            restarts=snapshot.restarts,
            doomed=pack_doomed(doomed),
            closure=tuple(snapshot.closure(doomed.digest)),
            tags=doomed.tags,
        )
        return SaveResult(int(result))

    def get(self, repository: str, digest: str) -> TrashedManifest | None:
        """Return a manifest from the trash; None if the trash does not hold it."""
        text = self._connection.redis.hget(self._keys.of("trash", repository), digest)
        return _kept(digest, text) if text else None

    def trashed_us(self, repository: str, digest: str) -> int | None:
        """Return when a manifest last entered the trash (µs), right before its DELETE was sent; None if not there."""
        at_us = self._connection.redis.zscore(self._keys.of("trashed"), f"{repository} {digest}")
        return None if at_us is None else int(at_us)

    def digests(self, repository: str) -> frozenset[str]:
        """Return the digests of a repository's manifests in the trash."""
        return frozenset(self._connection.redis.hkeys(self._keys.of("trash", repository)))

    def manifests(self, at_most: int | None = None) -> Iterator[tuple[str, TrashedManifest]]:
        """Yield every manifest in the trash with its repository, the latest deletion first."""
        if at_most is None:
            newest = self._all_trashed()
        else:
            newest = self._connection.redis.zrevrange(self._keys.of("trashed"), 0, at_most - 1)
        # "R -" means deleted tags only, without a manifest.
        members = [member.partition(" ")[::2] for member in newest if not member.endswith(" -")]
        for page in chunks(members, _PAGE):
            with self._connection.redis.pipeline() as pipe:
                for repository, digest in page:
                    pipe.hget(self._keys.of("trash", repository), digest)
                texts = pipe.execute()
            yield from (
                (repository, _kept(digest, text))
                for (repository, digest), text in zip(page, texts, strict=True)
                if text
            )

    def blobs(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield each manifest in the trash: its repository, its digest, and the digests that it references."""
        for repository, kept in self.manifests():
            yield repository, kept.digest, _references(kept)

    def held(self) -> dict[str, int]:
        """Return the content of the trash: digest of a manifest, config or layer → when it was deleted (µs)."""
        held: dict[str, int] = {}
        for _, kept in self.manifests():
            for digest in (kept.digest, *_references(kept)):
                held[digest] = max(held.get(digest, 0), kept.at_us)
        return held

    def deleted(self, repository: str) -> tuple[Deleted, ...]:
        """Return the deletions of this repository that can still be restored, the latest first."""
        deletions = map(PackedDeletion.unpacked, self.deleted_from([repository]))
        return tuple(sorted(deletions, key=lambda deletion: (-deletion.at_us, deletion.tag)))

    def deleted_from(self, repositories: Sequence[str], reason: str = "") -> list["PackedDeletion"]:
        """Return the same for several repositories, in no order. reason: a part of the reason; "" for all."""
        wanted = reason.lower()
        hashes: list[list[str]] = []
        while len(hashes) < len(repositories):
            chosen = repositories[len(hashes) : len(hashes) + _REPOSITORIES_AT_ONCE]
            hashes += self._connection.run("deleted", repositories=chosen, most_fields=_MOST_FIELDS)
        packed = (
            PackedDeletion(repository, field, *text.split(" ", 4))
            for repository, flat in zip(repositories, hashes, strict=True)
            for field, text in zip(flat[::2], flat[1::2], strict=True)
        )
        return [deletion for deletion in packed if not wanted or wanted in deletion.reason.lower()]

    def repositories(self) -> tuple[str, ...]:
        """Return the repositories with deletions that can be restored, the latest deletion first."""
        return tuple(dict.fromkeys(member.partition(" ")[0] for member in self._all_trashed()))

    def latest(self, count: int) -> tuple[tuple[str, Deleted], ...]:
        """Return the latest deletions of all repositories that can still be restored, each with its repository."""
        newest = self._connection.redis.zrevrange(self._keys.of("trashed"), 0, count - 1)
        repositories = dict.fromkeys(member.partition(" ")[0] for member in newest)
        deletions = [(name, deletion) for name in repositories for deletion in self.deleted(name)]
        return tuple(sorted(deletions, key=lambda item: -item[1].at_us)[:count])

    def age_s(self) -> float:
        """Return the seconds since the last entry, which is made right before its DELETE; inf for an empty trash."""
        newest = self._connection.redis.zrevrange(self._keys.of("trashed"), 0, 0, withscores=True)
        return self._connection.now_ms() / 1000 - newest[0][1] / 1_000_000 if newest else float("inf")

    def kept_us(self, at_us: int) -> bool:
        """Return True if a deletion at `at_us` could still be restored, had no collection run."""
        return at_us + self._life_s * 1_000_000 > self._connection.now_ms() * 1000

    def collected(self) -> int:
        """Forget the entries that a collection is about to sweep; return how many deletions become final by that.

        Manifests that have lost only their tags, and are still to be deleted, are kept: nothing of them is swept.
        """
        at_us = self._connection.now_ms() * 1000 + 1000
        # Under "-" only tags were deleted: a collection sweeps nothing of them.
        return self._drop((image for image in self._trashed_before(at_us) if image[1] != "-"), at_us)

    def forget_images(self, images: Iterable[tuple[str, str]]) -> int:
        """Forget these manifests (repository, digest), which can no longer be restored; return how many deletions."""
        return self._drop(images, self._connection.now_ms() * 1000 + 1000)

    def drop_before(self, at_us: int) -> int:
        """Forget the expired entries from before `at_us`; return how many deletions become final by that."""
        return self._drop(self._trashed_before(at_us), at_us, at_us)

    def _all_trashed(self) -> list[str]:
        """Return the members of the index, the latest deletion first."""
        return list(by_score(self._connection.redis, self._keys.of("trashed")))[::-1]

    def _trashed_before(self, at_us: int) -> Iterator[tuple[str, str]]:
        for member in by_score(self._connection.redis, self._keys.of("trashed"), f"({at_us}"):
            repository, _, digest = member.partition(" ")
            yield repository, digest

    def _drop(self, images: Iterable[tuple[str, str]], before_us: int, expired_us: int = 0) -> int:
        manifests: dict[str, list[dict[str, str]]] = {}
        for repository, digest in images:
            manifests.setdefault(repository, []).append({"digest": digest, "short": short(digest)})
        drop = partial(self._connection.run, "drop_trash", before_us=before_us, expired_us=expired_us)
        return sum(
            int(drop(repository, manifests=part))
            for repository, dropped in manifests.items()
            for part in chunks(dropped, _AT_ONCE)
        )


def _kept(digest: str, text: str) -> TrashedManifest:
    entry = json.loads(text)
    return TrashedManifest(digest, entry["media_type"], base64.b64decode(entry["content"]), int(entry["at_us"]))


def _references(kept: TrashedManifest) -> tuple[str, ...]:
    references = references_of(kept.media_type, kept.content)
    return (*references.children, *(blob for blob, _ in references.blobs))


class PackedDeletion(NamedTuple):
    """A field of deleted:R and its value. Unpacking is most of the work in a long listing, so that it comes last."""

    repository: str
    field: str
    short: str
    pushed_us: str
    at_us: str
    size_bytes: str
    reason: str

    def unpacked(self) -> Deleted:
        """Return the deletion."""
        tag = "" if self.field.startswith("@") else self.field.partition(" ")[0]
        pushed_us = int(self.pushed_us) or None
        return Deleted(tag, long(self.short), pushed_us, int(self.at_us), int(self.size_bytes), self.reason)
