"""The record of pushprune's deletes: deleted tags and digests, and the tags to check, as a delete may have hit them."""

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
    """The number of deletes, or their size in bytes, that makes a collection due; 0 = never."""

    deletes: int = 0
    size_bytes: int = 0


class Deletions:
    """doomed:R, deleted:R and heal:R in Redis. Every method raises StoreUnavailable when Redis is away.

    Args:
        deleted_s: for how long a deletion can be restored at most.
        collect_after: how much must be deleted until a collection is due.
    """

    def __init__(
        self, connection: Connection, limits: Limits, deleted_s: int, collect_after: CollectAfter | None = None
    ) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._limits = limits
        self._deleted_s = deleted_s
        self._collect_after = collect_after or CollectAfter()
        self.counts_bytes = self._collect_after.size_bytes > 0

    def untagged(
        self,
        repository: str,
        untagged: Iterable[tuple[Doomed, tuple[Verdict, ...]]],
        dangling: Collection[str] = (),
    ) -> bool:
        """Record that tags were deleted.

        A digest that nothing else keeps stays doomed, without these tags.

        Args:
            untagged: each doomed image as it was planned, with those of its verdicts whose tags are deleted.
            dangling: tags that the registry still lists.

        Returns:
            True if the repository must be planned again.
        """
        images, rows = [], []
        for number, (doomed, verdicts) in enumerate(untagged, 1):
            images.append(
                {
                    "digest": doomed.digest,
                    "short": short(doomed.digest),
                    "doomed": pack_doomed(doomed),
                    "rest": "" if doomed.only_tags else pack_doomed(doomed.without(verdicts)),
                    "is_manual": doomed.manual,
                    "is_left": doomed.is_left,
                }
            )
            rows += [{"image": number, **_row(verdict)} for verdict in verdicts]
        is_due = self._connection.run(
            "untagged",
            repository,
            **self._limits.of_history,
            resend_ms=RESEND_MS,
            deleted_s=self._deleted_s,
            dangling=_words(dangling),
            images=images,
            verdicts=rows,
        )
        return bool(is_due)

    def dangling(self, repository: str) -> frozenset[str]:
        """Return the tags that the registry still lists although their image was deleted."""
        return frozenset(self._connection.redis.smembers(self._keys.of("dangling", repository)))

    def note_dangling(self, repository: str, tags: Collection[str]) -> None:
        """Replace the recorded tags that the registry still lists although their image was deleted."""
        key = self._keys.of("dangling", repository)
        with self._connection.redis.pipeline() as pipe:
            pipe.delete(key)
            if tags:
                pipe.sadd(key, *tags)
            pipe.execute()

    def forget(
        self,
        snapshot: Snapshot,
        doomed: Doomed,
        dangling: Collection[str] = (),
        freed_bytes: int | None = None,
    ) -> bool:
        """Record that a doomed digest was deleted, with the reasons.

        Args:
            snapshot: the state that the deletion was made from. Referrers that it knows of the digest must be planned.
            dangling: tags of the digest that the registry still lists.
            freed_bytes: what a collection frees by this; None: not known, so that the size of the image counts.

        Returns:
            True if the repository became due for a new plan.
        """
        references = snapshot.links.get(doomed.digest)
        subject = references.subject if references else None
        _, is_due = self._connection.run(
            "forget",
            snapshot.repository,
            **self._limits.of_history,
            digest=doomed.digest,
            short=short(doomed.digest),
            collect_deletes=self._collect_after.deletes,
            collect_bytes=self._collect_after.size_bytes,
            freed_bytes=freed_bytes,
            resend_ms=RESEND_MS,
            # Referrers lose their subject with this digest, so they must be planned.
            plan_again=doomed.digest in snapshot.subjects,
            deleted_s=self._deleted_s,
            doomed=pack_doomed(doomed),
            is_manual=doomed.manual,
            made_from=snapshot.generation,
            dangling=_words(dangling),
            verdicts=[_row(verdict, subject) for verdict in doomed.verdicts if not verdict.recorded],
        )
        return bool(is_due)

    def healed(self, repository: str, member: tuple[str, int], digest: str, reason: str | None) -> None:
        """Record that a member of heal:R was checked. reason: why it was restored, None if nothing was wrong.

        A check that was requested again meanwhile stays open.
        """
        name, asked_ms = member
        self._connection.run(
            "healed",
            repository,
            **self._limits.of_history,
            member=name,
            tag=name_of(name),
            digest=digest,
            short=short(digest),
            reason=reason,
            asked_ms=asked_ms,
            trouble=trouble_about(repository, name_of(name)),
        )

    def not_restored(
        self, repository: str, member: tuple[str, int], digest: str, error: Exception, *, final: bool
    ) -> bool:
        """Record that a member of heal:R could not be restored; return True if that is new.

        final: the registry will never accept it. Otherwise it is tried again after a wait that doubles each time.
        """
        name, asked_ms = member
        message = sentence(error, final=final)
        is_new = self._connection.run(
            "not_restored",
            repository,
            **self._limits.of_history,
            member=name,
            name=name_of(name),
            digest=digest,
            short=short(digest),
            asked_ms=asked_ms,
            trouble=trouble_about(repository, name_of(name)),
            message=json.dumps(message),
            reason=message,
            deleted_reason=NOT_YET_REASON,
            final=final,
            first_ms=FIRST_WAIT_MS,
            longest_ms=LONGEST_WAIT_MS,
            deleted_s=self._deleted_s,
            final_start=FOR_GOOD,
        )
        return bool(is_new)

    def request_healing(self, repository: str, names: Iterable[str]) -> int:
        """Schedule a check of tags, or digests of indexes, for now: a delete that seemed to fail may have succeeded.

        Returns the time (ms) of this request, for `healed`.
        """
        checked_ms = self._connection.run("request_healing", repository, resend_ms=RESEND_MS, members=tuple(names))
        return int(checked_ms)

    def untagged_again(self, repository: str, tag: str, digest: str) -> None:
        """Record that a tag was deleted again which healing had restored after its user deleted it.

        digest: the manifest that the tag pointed at.
        """
        self._connection.run("untagged_again", repository, tag=tag, short_digest=short(digest), resend_ms=RESEND_MS)

    def note_own_put(self, repository: str, tag: str, digest: str) -> None:
        """Record, before pushprune sends a PUT, which digest it puts under a tag."""
        self._connection.run("note_own_put", repository, tag=tag, digest=digest, short_digest=short(digest))

    def own_put(self, repository: str, tag: str) -> str | None:
        """Return the digest that pushprune itself last put under a tag, within a day."""
        packed: str | None = self._connection.redis.hget(self._keys.of("own_puts", repository), tag)
        return packed.partition(" ")[0] if packed else None

    def may_have_met_own_put(self, repository: str, tag: Tag) -> bool:
        """Return True if the last push of the tag may have come before pushprune's own last PUT under the tag ended."""
        packed: str | None = self._connection.redis.hget(self._keys.of("own_puts", repository), tag.name)
        put_ms = int(packed.split(" ")[1]) if packed and " " in packed else None
        # Without the time of the PUT, no push can be ruled out.
        return put_ms is None or (tag.pushed_us or 0) <= (put_ms + LOOK_AGAIN_MS + UNANSWERED_MS) * 1000

    def is_restored(self, repository: str, tag: str) -> bool:
        """Return True if pushprune's last PUT under a tag was a restore that a user requested, within a day."""
        packed: str | None = self._connection.redis.hget(self._keys.of("own_puts", repository), tag)
        return packed is not None and packed.endswith(" restored")

    def touch(self, repository: str, name: str) -> None:
        """Record, before a DELETE that needs no trash is sent, that the workers delete in this repository."""
        touched = self._keys.of("touched", repository)
        with self._connection.redis.pipeline() as pipe:
            pipe.zadd(touched, {name: self._connection.now_ms()})
            pipe.expire(touched, 86_400)
            pipe.execute()

    def touched(self, repository: str, tag: str, since_us: int | None) -> bool:
        """Return True if one of pushprune's deletes touched the tag after this push, or may have hit it.

        Deletes are remembered for a day.
        """
        heal = self._keys.of("heal", repository)
        with self._connection.redis.pipeline() as pipe:
            pipe.zscore(self._keys.of("touched", repository), tag)
            pipe.zscore(heal, tag)
            pipe.zscore(heal, f"{tag} again")
            at_ms, *looks = pipe.execute()
        return any(look is not None for look in looks) or (at_ms is not None and at_ms * 1000 >= (since_us or 0))

    def may_have_removed(self, repository: str) -> frozenset[str]:
        """Return the tags that an unfinished deletion by pushprune may have removed."""
        with self._connection.redis.pipeline() as pipe:
            pipe.hkeys(self._keys.of("untagging", repository))
            pipe.zrange(self._keys.of("heal", repository), 0, -1)
            untagging, heal = pipe.execute()
        return frozenset(untagging).union(member.removesuffix(" again") for member in heal)

    def still_exists(self, repository: str, digest: str, *, index: bool) -> None:
        """Record that a digest still exists that was recorded as deleted. index: its parts must be read."""
        with self._connection.redis.pipeline() as pipe:
            pipe.zrem(self._keys.of("voided", repository), f"@{short(digest)}")
            if index:
                # "?" makes a worker read the index; HSETNX keeps references that are known already.
                pipe.hsetnx(self._keys.of("links", repository), digest, "0 ?")
            pipe.execute()


def _words(tags: Collection[str]) -> str:
    """Return the tags between spaces, so that a script can search for a tag by substring."""
    return f" {' '.join(tags)} " if tags else ""


def _row(verdict: Verdict, subject: str | None = None) -> dict[str, str | int]:
    # A part is restored because its index lists it. Nothing lists a referrer.
    is_part = not verdict.tag.name and verdict.after not in ("", subject)
    return {
        "tag": verdict.tag.name,
        "pushed_us": f"part {verdict.after}" if is_part else verdict.tag.pushed_us or 0,
        "reason": verdict.reason,
        "rule": verdict.rule or "",
        "by": verdict.by or "pushprune",
    }
