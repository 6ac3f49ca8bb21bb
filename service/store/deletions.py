"""Notes what deletes of ours did: tags taken off, digests deleted, and what to look at because it may have been met."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from service.domain.history.lost import FOR_GOOD, NOT_YET_REASON, sentence, trouble_about
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.history import name_of
from service.store.keys import short
from service.store.lease import UNANSWERED_MS
from service.store.limits import Limits
from service.store.outbox import FIRST_WAIT_MS, LONGEST_WAIT_MS, LOOK_AGAIN_MS, RESEND_MS
from service.store.packing import pack_doomed
from service.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CollectAfter:
    """How many deletes, or bytes that they come to, make a collection due; 0 = never."""

    deletes: int = 0
    size_bytes: int = 0


class Removals:
    """doomed:R, deleted:R and heal:R in Redis. Every method raises StoreUnavailable when Redis is away.

    deleted_s: how long a deletion can be undone at most.
    """

    def __init__(self, connection: Connection, limits: Limits, deleted_s: int) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._limits = limits
        self._deleted_s = deleted_s

    def taken(
        self,
        repository: str,
        taken: Iterable[tuple[Doomed, tuple[Verdict, ...]]],
        still_listed: Collection[str] = (),
    ) -> bool:
        """Notes that tags were taken off; True when the repository must be planned again.

        taken: what is doomed, as it was planned, and those of its verdicts whose tags are off. A digest that nothing
        keeps stays doomed, without those tags.
        """
        args: list[str | int] = [repository, self._limits.repository_entries, self._limits.events, RESEND_MS]
        args += [self._deleted_s, _words(still_listed)]
        for doomed, verdicts in taken:
            rest = "" if doomed.only_tags else pack_doomed(doomed.without(verdicts))
            args += [doomed.digest, short(doomed.digest), pack_doomed(doomed), rest, int(doomed.by_hand)]
            args += [int(doomed.is_left), len(verdicts)]
            args += [said for verdict in verdicts for said in _told(verdict)]
        return bool(self._connection.run("taken", args, repository))

    def still_listed(self, repository: str) -> frozenset[str]:
        """Return the tags that the registry goes on listing although their image was deleted."""
        with self._connection.reached() as client:
            return frozenset(client.smembers(self._keys.listed(repository)))

    def note_still_listed(self, repository: str, tags: Collection[str]) -> None:
        """Replace these tags."""
        key = self._keys.listed(repository)
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.delete(key)
            if tags:
                pipe.sadd(key, *tags)
            pipe.execute()

    def forget(
        self,
        snapshot: Snapshot,
        doomed: Doomed,
        collect_after: CollectAfter | None = None,
        still_listed: Collection[str] = (),
    ) -> bool:
        """Record that a doomed digest was deleted, with the reasons.

        Args:
            snapshot: the state that the deletion was made from; referrers that it knows may follow.
            still_listed: tags of it that the registry still lists.

        Returns:
            True if the repository became due for a new plan.
        """
        after, repository = collect_after or CollectAfter(), snapshot.repository
        plan_again = doomed.digest in snapshot.subjects
        args: list[str | int] = [repository, doomed.digest, short(doomed.digest), self._limits.repository_entries]
        args += [self._limits.events, after.deletes, RESEND_MS, int(plan_again), self._deleted_s, pack_doomed(doomed)]
        args += [after.size_bytes, int(doomed.by_hand), snapshot.generation, _words(still_listed)]
        args += [said for verdict in doomed.verdicts if not verdict.told for said in _told(verdict)]
        _, again = self._connection.run("forget", args, repository)
        return bool(again)

    def healed(self, repository: str, member: tuple[str, int], digest: str, reason: str | None) -> None:
        """Note that a member of heal:R was looked at; reason: why it was restored, None when all is right.

        A look that was asked for again meanwhile stays.
        """
        name, asked_ms = member
        args: list[str | int] = [repository, name, name_of(name), digest, reason or ""]
        args += [self._limits.repository_entries, self._limits.events, asked_ms]
        args += [short(digest), trouble_about(repository, name_of(name))]
        self._connection.run("healed", args, repository)

    def not_restored(
        self, repository: str, member: tuple[str, int], digest: str, error: Exception, *, final: bool
    ) -> bool:
        """Note that a member of heal:R could not be restored; returns True if that is new.

        final: the registry will never take it. Otherwise it is tried again after a wait that doubles.
        """
        name, asked_ms = member
        message = sentence(error, final=final)
        args: list[str | int] = [repository, name, name_of(name), digest, short(digest)]
        args += [self._limits.repository_entries, self._limits.events, asked_ms]
        args += [trouble_about(repository, name_of(name)), json.dumps(message), message, NOT_YET_REASON, int(final)]
        args += [FIRST_WAIT_MS, LONGEST_WAIT_MS, self._deleted_s, FOR_GOOD]
        return bool(self._connection.run("not_restored", args, repository))

    def look_at(self, repository: str, names: Iterable[str]) -> int:
        """Has tags, or digests of indexes, looked at now: a delete may have done its work all the same.

        Returns when that was (ms), for `healed`.
        """
        return int(self._connection.run("look_at", [repository, RESEND_MS, *names], repository))

    def taken_back(self, repository: str, tag: str, digest: str) -> None:
        """Notes that a tag is off again which we had put back after its user deleted it, and where it stood."""
        self._connection.run("taken_back", [repository, tag, short(digest), RESEND_MS], repository)

    def putting(self, repository: str, tag: str, digest: str) -> None:
        """Notes what a PUT of ours is about to put under a tag."""
        self._connection.run("putting", [tag, digest, short(digest)], repository)

    def put_by_us(self, repository: str, tag: str) -> str | None:
        """Return the digest that a PUT of ours last put under a tag, within a day."""
        with self._connection.reached() as client:
            packed: str | None = client.hget(self._keys.put(repository), tag)
        return packed.partition(" ")[0] if packed else None

    def may_have_met(self, repository: str, tag: Tag) -> bool:
        """Return True if the last push of the tag may have come before the last PUT of ours under it ended."""
        with self._connection.reached() as client:
            packed: str | None = client.hget(self._keys.put(repository), tag.name)
        put_ms = int(packed.split(" ")[1]) if packed and " " in packed else None
        return put_ms is None or (tag.pushed_us or 0) <= (put_ms + LOOK_AGAIN_MS + UNANSWERED_MS) * 1000

    def is_restored(self, repository: str, tag: str) -> bool:
        """Return True if the last PUT of ours under a tag was a restore that a user asked for, within a day."""
        with self._connection.reached() as client:
            packed: str | None = client.hget(self._keys.put(repository), tag)
        return packed is not None and packed.endswith(" restored")

    def touch(self, repository: str, name: str) -> None:
        """Note, before a DELETE that needs no trash is sent, that the workers delete in this repository."""
        touched = self._keys.touched(repository)
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zadd(touched, {name: self._connection.now_ms()})
            pipe.expire(touched, 86_400)
            pipe.execute()

    def touched(self, repository: str, tag: str, since_us: int | None) -> bool:
        """Whether a delete of ours was at work on the tag after this push of it, within a day, or may have met it."""
        heal = self._keys.heal(repository)
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zscore(self._keys.touched(repository), tag)
            pipe.zscore(heal, tag)
            pipe.zscore(heal, f"{tag} again")
            at_ms, *looks = pipe.execute()
        return any(look is not None for look in looks) or (at_ms is not None and at_ms * 1000 >= (since_us or 0))

    def stands_after_all(self, repository: str, digest: str, *, index: bool) -> None:
        """Notes that the registry has what was thought to be deleted; index: what it lists is to be learnt."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zrem(self._keys.gone(repository), f"@{short(digest)}")
            if index:
                pipe.hsetnx(self._keys.links(repository), digest, "0 ?")
            pipe.execute()


def _words(tags: Collection[str]) -> str:
    """The tags between spaces, for a script to look them up."""
    return f" {' '.join(tags)} " if tags else ""


def _told(verdict: Verdict) -> tuple[str | int, ...]:
    is_part = not verdict.tag.name and verdict.after
    pushed = f"part {verdict.after}" if is_part else verdict.tag.pushed_us or 0
    return (verdict.tag.name, pushed, verdict.reason, verdict.rule or "", verdict.by or "pushprune")
