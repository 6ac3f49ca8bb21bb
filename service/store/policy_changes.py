"""Changes of the policy: how far a changed policy was compared and applied, so that another worker can continue."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from service.domain.retention.change import NO_CHANGE, Change
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection, new_token

# The sweep continues a comparison every few seconds. One that no worker continues ends then.
_COMPARISON_S = 900
# A worker says twice a second which policy it has read. It counts for this long after that: it is silent during a long
# sweep, and another worker must not put an older policy in force meanwhile.
_READ_MS = 60_000
# So much of the time without a sign of any worker counts.
_SILENCE_MS = 5000
_DELETES = "deletes "
# Instead of the digest: a worker cannot read its policy file.
UNREADABLE = ""

Stage = Literal["compare", "due"]


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """A comparison of a changed policy with the one in force.

    Attributes:
        name: of its last record. Each record has another name, so that a late worker can change nothing.
        stage: compare, then due: all repositories were compared, and are made due for the changed policy.
        cursor: the last repository of this stage, "" for none.
        removed: number of tags that the changed policy would delete and the other one keeps, until the cursor.
        of: number of tags until the cursor.
    """

    name: str
    stage: Stage
    cursor: str
    removed: int
    of: int


class PolicyChanges:
    """The last policy and its comparison in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._keys = connection, connection.keys

    def begin(self, digest: str, policy: str, *, is_read: bool = True) -> PolicyComparison | None:
        """Begin to compare a changed policy with the one in force, or continue that comparison.

        The first policy is in force at once. A comparison ends if the workers have read different policies.

        Args:
            digest, policy: of the policy that this worker uses; the policy as JSON, "" for none.
            is_read: False if the worker cannot read its policy file by now, so that the others decide.

        Returns:
            None if this policy is in force or may not be compared now.
        """
        fields = self._connection.run(
            "begin_comparison",
            digest=digest,
            text=policy,
            read=digest if is_read else UNREADABLE,
            name=new_token(),
            life_s=_COMPARISON_S,
        )
        if not fields:
            return None
        name, stage, cursor, removed, of = fields
        return PolicyComparison(name, stage, cursor, int(removed), int(of))

    def note(self, comparison: PolicyComparison, more: Change = NO_CHANGE) -> PolicyComparison | None:
        """Record how far a comparison got; return it with the name of this record.

        Args:
            more: the effect of the changed policy on the repositories since the last record.

        Returns:
            None if another worker continued, or another comparison runs by now: begin again.
        """
        removed, of = comparison.removed + more.removed, comparison.of + more.of
        noted = replace(comparison, name=new_token(), removed=removed, of=of)
        record = asdict(noted) | {"name": comparison.name, "next": noted.name, "deletes": more.repositories}
        return noted if self._connection.run("note_comparison", **record, life_s=_COMPARISON_S) else None

    def require_approvals(self, comparison: PolicyComparison) -> None:
        """Make the next plans wait for an approval in all repositories in which the changed policy deletes tags.

        If another worker has continued, or another comparison runs by now, nothing is required: `note` says so.
        """
        key, name, removed, of = self._keys.of("policy:comparison"), comparison.name, comparison.removed, comparison.of
        fields = dict(self._connection.redis.hscan_iter(key, match=f"{_DELETES}*", count=AT_ONCE))
        for part in chunks([field.removeprefix(_DELETES) for field in fields]):
            self._connection.run("require_approvals", repositories=part, name=name, removed=removed, tags=of)

    def apply(self, comparison: PolicyComparison, policy: str) -> bool:
        """Put the changed policy in force, once every repository was made due for it. policy: as JSON, "" for none.

        Returns:
            False if the workers differ, another worker continued, or another comparison runs by now: begin again.
        """
        return bool(self._connection.run("apply_policy", name=comparison.name, text=policy))

    def in_force(self) -> str:
        """Return the digest of the policy last put in force, "" for none."""
        return str(self._connection.redis.get(self._keys.of("policy")) or "")

    def last(self) -> str:
        """Return the policy last put in force, as JSON; "" for none."""
        return str(self._connection.redis.get(self._keys.of("policy:last")) or "")

    def note_read(self, worker: str, digest: str) -> None:
        """Record which policy a worker has read.

        Args:
            worker: the name of the worker and that of its process.
            digest: of the policy; UNREADABLE if the worker cannot read its policy file.
        """
        self._connection.run("note_read", worker=worker, digest=digest, life_ms=_READ_MS, most_ms=_SILENCE_MS)

    def forget_reader(self, worker: str) -> None:
        """Forget which policy a worker has read, because it ends: no changed policy need wait for it."""
        key = self._keys.of("policy:read")
        if members := [each for each in self._connection.redis.zrange(key, 0, -1) if each.startswith(f"{worker} ")]:
            self._connection.redis.zrem(key, *members)

    def read_by(self) -> Mapping[str, str]:
        """Return worker → the digest of the policy that it has read, or UNREADABLE; of the workers that run."""
        since_ms = self._connection.now_ms() - _READ_MS
        members = self._connection.redis.zrangebyscore(self._keys.of("policy:read"), since_ms, "+inf")
        return {worker: digest for worker, _, digest in (member.rpartition(" ") for member in members)}
