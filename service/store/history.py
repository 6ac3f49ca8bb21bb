"""The history of every tag: record, snapshot, commit, forget, read."""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Literal

from service.domain.errors import StoreDamaged
from service.domain.events import Envelope
from service.domain.history.entry import Entry
from service.domain.retention.plan import Doomed, Plan
from service.domain.retention.state import Tag
from service.store.approvals import packed_hold
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.ingest import RecordResult, record
from service.store.keys import long, short
from service.store.limits import Limits, PushLimits
from service.store.live_tags import unpack_digest
from service.store.outbox import LOOK_AGAIN_MS, RESEND_MS
from service.store.packing import DoomedImages, pack_doomed, unpack_entry
from service.store.pushes import PushesSince, unpack_pushes
from service.store.remembered_tags import ReadTags, RememberedTags, UnreadableTag, unpack_tags, with_changes
from service.store.snapshot import Snapshot, decoded_answer, unpack_snapshot
from service.store.word import Word

Target = Literal["doomed", "manual", "dry_run", "held", "none"]


class CommitResult(IntEnum):
    """The result of a commit. WAITS: committed, and the repository's deletion is backing off."""

    STALE = 0
    COMMITTED = 1
    BACKING_OFF = 2


class History:
    """The history in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits | None = None,
        look_again_ms: int = LOOK_AGAIN_MS,
        gate: PushLimits | None = None,
        late_s: int = 0,
        remembered: RememberedTags | None = None,
    ) -> None:
        """Create the history.

        Args:
            look_again_ms: how long a DELETE can be on its way. What it may have hit is checked after that.
            gate: the limits of what is remembered about pushes under way.
            late_s: for how long after a comparison the events of pushes that it found may still arrive.
            remembered: the tags that were read before.
        """
        self._remembered = remembered or RememberedTags()
        self._late_us = late_s * 1_000_000
        self._gate = gate or PushLimits()
        self._connection = connection
        self._look_again_ms = look_again_ms
        self._keys = connection.keys
        self._limits = limits or Limits()
        self.word = Word(connection)

    def record(self, envelope: Envelope) -> RecordResult:
        """Record an envelope exactly once, in one atomic call; a repetition changes nothing."""
        return self.record_all((envelope,))[0]

    def record_all(
        self, envelopes: Sequence[Envelope], message_of: Callable[[str], str] | None = None
    ) -> tuple[RecordResult, ...]:
        """Record several envelopes as `record` does, in one atomic call.

        message_of: returns the message that asks the workers to plan a repository. It is stored in the same call, if
        the repository became due.
        """
        limits, gate, again_ms, late_us = self._limits, self._gate, self._look_again_ms, self._late_us
        return record(self._connection, envelopes, self.word(), limits, gate, again_ms, late_us, message_of)

    def snapshot(self, repository: str) -> Snapshot:
        """Return everything that a plan needs, read at one moment.

        Raises:
            StoreDamaged: the entry of a tag cannot be read, so that nothing may be decided about the repository.
        """
        try:
            answer, tags = self._read_tags(repository)
        except UnreadableTag as tag:
            live, times = (self._keys.of(key, repository) for key in ("live", "tags"))
            raise StoreDamaged(
                f"the entry of {repository}:{tag} in Redis cannot be read, so nothing is planned or deleted in this "
                f"repository: delete the entry (redis-cli HDEL {live} {tag}; redis-cli ZREM {times} {tag}), then run "
                "pushprune reconcile, which reads the tag at the registry again"
            ) from tag
        is_remembered = self._remembered.remember(repository, tags)
        return unpack_snapshot(repository, answer, tags, self._late_us, is_remembered=is_remembered)

    def _read_tags(self, repository: str) -> tuple[dict[str, Any], ReadTags]:
        """Return the fields of the answer of snapshot.lua, and the tags behind it."""
        known = self._remembered.of(repository)
        answer = self._read(repository, known)
        name_of = Dictionary(self._connection).name
        tags = with_changes(known, answer, name_of) if known and answer["is_changes"] else unpack_tags(answer, name_of)
        if tags is None:
            answer = self._read(repository, None)
            tags = unpack_tags(answer, name_of)
        return answer, tags

    def _read(self, repository: str, known: ReadTags | None) -> dict[str, Any]:
        """Return the fields of the answer of snapshot.lua. known: if possible, only changes of these tags are read."""
        server, generation, relabeled = (known.server, known.generation, known.relabeled) if known else ("", "", "")
        return decoded_answer(
            self._connection.run_undecoded(
                "snapshot",
                repository,
                known_server=server,
                known_generation=generation,
                known_relabeled=relabeled,
            )
        )

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return True if the repository has not changed since the snapshot."""
        return self.generation(snapshot.repository) == snapshot.generation

    def generation(self, repository: str) -> str:
        """Return the repository's generation: it changes with every change to its tags, not with pulls or time."""
        return self._connection.redis.hget(self._keys.of("generation"), repository) or "0"

    def pushes_since(self, snapshot: Snapshot) -> PushesSince | None:
        """Return the pushes since the snapshot; None if anything else changed, or if it is not known what."""
        run_id = self._connection.run_id()
        with self._connection.redis.pipeline() as pipe:
            pipe.hget(self._keys.of("generation"), snapshot.repository)
            pipe.lrange(self._keys.of("pushes", snapshot.repository), 0, -1)
            pipe.get(self._keys.of("restarts"))
            generation, noted, restarts = pipe.execute()
        # After a restart of the registry or of Redis, a push may be missing: compare first (safety rule 9).
        if snapshot.epoch != f"{run_id}:{restarts or 0}":
            return None
        return unpack_pushes(snapshot.generation, generation or "0", noted)

    def commit(
        self, snapshot: Snapshot, plan: Plan, target: Target, overtaken: PushesSince | None = None
    ) -> CommitResult:
        """Commit a plan against the snapshot that it was made from.

        Args:
            target: `doomed` deletes, `manual` deletes only what a user requested, `dry_run` only shows, `held` waits
                for approval, `none` has nothing to do.
            overtaken: pushes since the snapshot that leave the plan valid. The repository stays due.

        Returns:
            STALE if there was another change, of the policy in force as well, or a pull of a doomed image.
        """
        # A pull does not stop a deletion that a user requested.
        uses = () if target == "manual" else plan.doomed
        images = plan.doomed if target in ("doomed", "manual", "dry_run") else ()
        # Before any deletion the registry has confirmed all tags.
        is_confirmed = target == "doomed" or (target == "none" and snapshot.is_confirmed)
        result = self._connection.run(
            "commit",
            snapshot.repository,
            made_from=overtaken.generation if overtaken else snapshot.generation,
            policy=snapshot.policy,
            overtaken=overtaken is not None,
            resend_ms=RESEND_MS,
            # Round up: a plan made too early would find nothing due yet.
            next_ms=plan.next_us // 1000 + 1 if plan.next_us else 0,
            target=target,
            hold=packed_hold(plan),
            approved=(plan.settles_under or "all") if plan.is_whole and is_confirmed else "",
            unannounced=plan.unannounced,
            planned_us=plan.planned_us,
            stale_untagged=() if overtaken else snapshot.stale_untagged,
            stale_created=() if overtaken else snapshot.stale_created,
            stale_pulled=() if overtaken else snapshot.obsolete_pulls(is_confirmed=is_confirmed),
            used=[
                {"member": member, "known_us": snapshot.pulled_us.get(member, 0)}
                for doomed in uses
                for member in (f"@{short(doomed.digest)}", *doomed.tags)
            ],
            images=[{"short": short(doomed.digest), "json": pack_doomed(doomed)} for doomed in images],
        )
        return CommitResult(int(result))

    def doomed(self, repository: str, dry: bool = False, before: DoomedImages | None = None) -> tuple[Doomed, ...]:
        """Return the images to delete next, or (dry) the images that would be deleted.

        before: the images that the last call returned. They are replaced, and unchanged images are not unpacked again.
        """
        packed = self._connection.redis.hvals(self._keys.of("dry_run" if dry else "doomed", repository))
        return (before or DoomedImages()).unpack(packed)

    def count_doomed(self, repositories: Iterable[str]) -> int:
        """Return the number of images to delete next in these repositories."""
        with self._connection.redis.pipeline(transaction=False) as pipe:
            for repository in repositories:
                pipe.hlen(self._keys.of("doomed", repository))
            return sum(pipe.execute())

    def retire(self, empty_s: int) -> tuple[str, ...]:
        """Forget the repositories that have been empty for `empty_s`, and return their names."""
        empty = [name for names in chunks(self.repositories()) for name in self._empty(names)]
        return tuple(name for name in empty if self._connection.run("retire", name, quiet_ms=empty_s * 1000))

    def _empty(self, names: Sequence[str]) -> list[str]:
        """Return the repositories without tags and without deletions that can be restored."""
        with self._connection.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.exists(self._keys.of("tags", name), self._keys.of("deleted", name), self._keys.of("trash", name))
            known = pipe.execute()
        return [name for name, count in zip(names, known, strict=True) if not count]

    def unannounced(self, names: Sequence[str] | None = None) -> dict[str, int]:
        """Return repository → number of tags kept only because their pushes were not reported, if there are any.

        names: of the repositories to look at; None: all.
        """
        key = self._keys.of("unannounced")
        client = self._connection.redis
        if names is None:
            counts = dict(client.hscan_iter(key, count=AT_ONCE))
        else:
            read = [count for part in chunks(names) for count in client.hmget(key, part)]
            counts = dict(zip(names, read, strict=True))
        return {name: int(count) for name, count in counts.items() if count}

    def live(self, repository: str) -> tuple[Tag, ...]:
        """Return the live tags, newest push first."""
        return tuple(sorted(self.snapshot(repository).tags, key=lambda tag: -(tag.pushed_us or 0)))

    def tag_names(self, repository: str) -> tuple[str, ...]:
        """Return the names of the live tags, newest push first; cheaper than `live`."""
        return tuple(self._connection.redis.zrevrange(self._keys.of("tags", repository), 0, -1))

    def count_tags(self, repository: str) -> int:
        """Return the number of live tags."""
        return int(self._connection.redis.zcard(self._keys.of("tags", repository)))

    def standing(self, repository: str) -> frozenset[str]:
        """Return the digests that the registry has, as far as is known: those of tags, and those without one."""
        live, untagged = self._connection.run_undecoded("standing", repository)
        return frozenset((*map(unpack_digest, live), *(long(digest.decode()) for digest in untagged)))

    def is_live(self, repository: str, tag: str) -> bool:
        """Return True if the history has this tag; cheaper than `live` in a large repository."""
        return self._connection.redis.zscore(self._keys.of("tags", repository), tag) is not None

    def repositories(self) -> tuple[str, ...]:
        """Return the names of all repositories that anything is known of, sorted."""
        return tuple(sorted(self.generations()))

    def generations(self) -> dict[str, str]:
        """Return the generation of every repository."""
        # In parts, because one answer about 500,000 repositories would keep Redis from all other work.
        return dict(self._connection.redis.hscan_iter(self._keys.of("generation"), count=AT_ONCE))

    def entries(
        self, repository: str | None = None, count: int | None = 100, before: str | None = None
    ) -> tuple[Entry, ...]:
        """Return the newest history entries, of one repository or of all, newest first.

        Args:
            count: at most; None: all that are kept.
            before: the id of an entry; only older ones are returned.
        """
        key = self._keys.of("history", repository) if repository else self._keys.of("events")
        rows = self._connection.redis.xrevrange(key, max=f"({before}" if before else "+", count=count)
        flat = Dictionary(self._connection).flat_row
        return tuple(
            unpack_entry(identifier, flat(fields) if repository else fields, repository) for identifier, fields in rows
        )

    def deleted_by_others(self, repository: str, tag: Tag) -> bool:
        """Return True if another client deleted the tag's manifest after the tag's last push or restore."""
        entries = self.entries(repository, self._limits.repository_entries)
        about = [entry for entry in entries if entry.digest == tag.digest]
        restored = [entry.at_us for entry in about if (entry.action, entry.tag) == ("restored", tag.name)]
        since_us = max(restored, default=tag.pushed_us)
        if since_us is None:
            # The push was not seen, so no deletion is known to be later.
            return False
        return any(entry.action == "delete" and not entry.tag and entry.at_us > since_us for entry in about)

    def was_pruned(self, repository: str, digest: str) -> bool:
        """Return True if pushprune once deleted this manifest or a tag of it, or may have: a full history has gaps."""
        most = self._limits.repository_entries
        entries = self.entries(repository, most)
        if len(entries) >= most:
            return True
        return any(entry.digest == digest and entry.action in ("pruned", "still listed") for entry in entries)


def name_of(member: str) -> str:
    """Return the tag or digest of a member of heal:R, which may end in " again"."""
    return member.partition(" ")[0]
