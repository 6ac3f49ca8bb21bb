"""The plans that wait for approval, and the decisions of users about them: approvals, rejections, history entries."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from service.clock import now_us
from service.domain.retention.plan import Plan, Rejection
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.dictionary import packed_row
from service.store.limits import Limits

_APPROVED_MS = 86_400_000
_REJECTED_S = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits for approval.

    Attributes:
        reason: one sentence.
        at_us: since when the repository has had a waiting plan without a break (µs).
        digests: the manifests that the plan would delete.
        plan: the plan's name, derived from the digests: other digests, other name.
        policy: the fingerprint of the policy that made the plan.
    """

    repository: str
    reason: str
    at_us: int
    digests: tuple[str, ...]
    plan: str
    policy: str = ""


class Approvals:
    """The plans that wait for approval, and the decisions. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection, self._keys, self._limits = connection, connection.keys, limits

    def holds(self, repositories: Iterable[str] | None = None) -> tuple[Hold, ...]:
        """Return the plans that wait for approval, of these repositories or of all."""
        client = self._connection.redis
        if repositories is None:
            repositories = sorted(set(client.sscan_iter(self._keys.of("held"), count=AT_ONCE)))
        names = tuple(repositories)
        texts = [text for part in chunks(names) for text in client.mget([self._keys.of("hold", name) for name in part])]
        return tuple(unpack_hold(name, text) for name, text in zip(names, texts, strict=True) if text)

    def held(self, repository: str) -> str | None:
        """Return the reason why this repository's plan waits for approval, None if it does not."""
        return next((hold.reason for hold in self.holds([repository])), None)

    def approve(self, repository: str, plan: str | None = None) -> int:
        """Approve the digests of the held plan for a day and return their number. The caller makes the repository due.

        plan: the name of the plan that the user saw; nothing is approved if another plan has replaced it.
        """
        holds = [hold for hold in self.holds([repository]) if plan in (None, hold.plan)]
        until_ms = self._connection.now_ms() + _APPROVED_MS
        approved = {digest: until_ms for hold in holds for digest in hold.digests}
        if approved:
            client = self._connection.redis
            client.zadd(self._keys.of("approvals", repository), approved)
            client.expire(self._keys.of("approvals", repository), _APPROVED_MS // 1000)
        return len(approved)

    def reject(self, repository: str, plan: str, by: str) -> None:
        """Record that a user rejected this plan. A later plan with other digests is not rejected."""
        rejection = Rejection(plan, by, now_us())
        self._connection.redis.set(
            self._keys.of("rejection", repository), json.dumps(asdict(rejection)), ex=_REJECTED_S
        )

    def rejections(self, repositories: Iterable[str]) -> Mapping[str, Rejection]:
        """Return repository → the plan that was last rejected there, if there is one."""
        names = tuple(repositories)
        keys = [self._keys.of("rejection", name) for name in names]
        texts = [text for part in chunks(keys) for text in self._connection.redis.mget(part)]
        return {name: Rejection(**json.loads(text)) for name, text in zip(names, texts, strict=True) if text}

    def note(self, repository: str, action: str, by: str, reason: str) -> None:
        """Add a history entry about a repository as a whole. action: such as approved; by: the user."""
        fields = {"action": action, "tag": "", "digest": "", "size": "0", "actor": by, "agent": "", "address": ""}
        fields |= {"at_us": str(now_us()), "reason": reason, "rule": "", "media": ""}
        limits = self._limits
        with self._connection.redis.pipeline() as pipe:
            pipe.xadd(self._keys.of("history", repository), packed_row(fields), maxlen=limits.repository_entries)
            pipe.xadd(self._keys.of("events"), {"repository": repository, **fields}, maxlen=limits.events)
            pipe.execute()


def packed_hold(plan: Plan) -> str:
    """Return the JSON of hold:R without `at_us`, which the script adds."""
    digests = [doomed.digest for doomed in plan.doomed]
    return json.dumps({"reason": plan.hold, "policy": plan.hold_under, "digests": digests})


def unpack_hold(repository: str, text: str) -> Hold:
    """Return the hold behind the JSON text of `hold:R`."""
    packed = json.loads(text)
    digests = tuple(packed["digests"])
    # Sorted, so that the same digests always give the same name.
    # 128 bits: a pusher who chooses images must not find two plans with one name, of which a user approves the first.
    name = hashlib.sha256(" ".join(sorted(digests)).encode()).hexdigest()[:32]
    return Hold(repository, packed["reason"], int(packed["at_us"]), digests, name, packed.get("policy", ""))
