"""Changes of the policy: how far a changed policy was compared and applied, so that another worker can continue."""

from collections.abc import Sequence

from service.domain.retention.change import Change
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection, new_token
from service.store.outbox import Outbox

# The sweep continues a comparison every few seconds. One that no worker continues ends then.
_COMPARISON_S = 900


class PolicyChanges:
    """The last policy and its comparison in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self._connection, self._outbox = connection, outbox
        self._keys = connection.keys

    def is_new(self, digest: str, policy: str) -> bool:
        """Return True if the policy in force differs from the last recorded policy.

        The first policy is recorded and is no change. If there is no change any more, its comparison ends. policy: as
        JSON, "" for none.
        """
        client = self._connection.redis
        client.set(self._keys.of("policy"), digest, nx=True)
        if client.get(self._keys.of("policy")) != digest:
            return True
        client.set(self._keys.of("policy:last"), policy, nx=True)
        # A worker that reads another policy begins its comparison again.
        if client.exists(self._keys.of("policy:comparison")):
            client.unlink(self._keys.of("policy:comparison"), self._keys.of("policy:removes"))
        return False

    def require_approvals(self, repositories: Sequence[str], removed: int, of: int) -> None:
        """Make the next plans of these repositories wait for an approval.

        Args:
            removed: how many tags the changed policy would delete in all repositories.
            of: how many tags all repositories have.
        """
        for part in chunks(repositories):
            self._connection.run("require_approvals", repositories=part, removed=removed, tags=of)

    def comparison(self, digest: str, before: str) -> tuple[str, Change]:
        """Return how far a changed policy was compared: the last repository, "" for none, and the effect until then.

        before: the digest of the policy in force. A comparison with another policy does not count.
        """
        client = self._connection.redis
        fields = client.hgetall(self._keys.of("policy:comparison"))
        if fields.get("policy") != digest or fields.get("before") != before:
            return "", Change((), 0, 0)
        repositories = set(client.sscan_iter(self._keys.of("policy:removes"), count=AT_ONCE))
        return fields["cursor"], Change(tuple(sorted(repositories)), int(fields["removed"]), int(fields["of"]))

    def note_comparison(self, digest: str, before: str, cursor: str, change: Change, since: Change) -> str:
        """Record how far a changed policy was compared, in place of any other comparison.

        Args:
            before: the digest of the policy that it was compared with.
            cursor: the last repository that was compared.
            change: the effect on all repositories until then.
            since: the part of it that was not recorded yet.

        Returns:
            The name of this record, for `note_compared`.
        """
        key, removes, name = self._keys.of("policy:comparison"), self._keys.of("policy:removes"), new_token()
        fields = {"policy": digest, "before": before, "name": name, "cursor": cursor}
        fields |= {"removed": str(change.removed), "of": str(change.of)}
        with self._connection.redis.pipeline() as pipe:
            pipe.delete(key)
            if since == change:
                pipe.unlink(removes)
            for part in chunks(since.repositories):
                pipe.sadd(removes, *part)
            pipe.hset(key, mapping=fields)
            for expiring in (key, removes):
                pipe.expire(expiring, _COMPARISON_S)
            pipe.execute()
        return name

    def note_compared(self, name: str) -> bool:
        """Record that all repositories were compared, and that the approvals which this requires are recorded.

        Args:
            name: of the last record of the comparison.

        Returns:
            False if another comparison runs by now, or another policy is in force: begin again.
        """
        return bool(self._connection.run("note_compared", name=name))

    def marked_until(self, digest: str) -> str | None:
        """Return the last repository that was made due for this policy.

        "" if none was yet, None if not all repositories were compared by it.
        """
        policy, marked = self._connection.redis.hmget(self._keys.of("policy:comparison"), "policy", "marked")
        return str(marked) if marked is not None and policy == digest else None

    def mark_due_until(self, digest: str, repositories: Sequence[str]) -> bool:
        """Make repositories due for a changed policy, and record the last of them.

        Returns:
            False if another comparison runs by now: begin again.
        """
        self._outbox.mark_due(repositories)
        is_noted = self._connection.run("mark_policy", digest=digest, marked=repositories[-1], life_s=_COMPARISON_S)
        return bool(is_noted)

    def note_applied(self, digest: str, policy: str, marked: str) -> bool:
        """Put a policy in force, once every repository was made due for it.

        Args:
            policy: as JSON, "" for none.
            marked: the last repository that was made due, "" for none.

        Returns:
            False if another comparison runs by now: begin again.
        """
        return bool(self._connection.run("apply_policy", digest=digest, text=policy, marked=marked))

    def in_force(self) -> tuple[str, str]:
        """Return the digest of the policy last applied, and the policy as JSON; "" for none."""
        digest, text = self._connection.redis.mget(self._keys.of("policy"), self._keys.of("policy:last"))
        return digest or "", text or ""

    def last(self) -> str:
        """Return the policy last applied, as JSON; "" for none."""
        return str(self._connection.redis.get(self._keys.of("policy:last")) or "")
