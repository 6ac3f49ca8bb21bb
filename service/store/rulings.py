"""The decisions of users about plans that wait: rejections, and one history entry for every decision."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from service.domain.retention.plan import Rejection
from service.store.connection import Connection
from service.store.limits import Limits

_LIFE_S = 90 * 86_400


class Rulings:
    """The decisions in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection, self._keys, self._limits = connection, connection.keys, limits

    def refuse(self, repository: str, plan: str, by: str) -> None:
        """Record that a user rejected this plan. A later plan with other digests is not rejected by that."""
        rejection = Rejection(plan, by, time.time_ns() // 1000)
        with self._connection.reached() as client:
            client.set(self._keys.refused(repository), json.dumps(asdict(rejection)), ex=_LIFE_S)

    def refused(self, repositories: Iterable[str]) -> Mapping[str, Rejection]:
        """Return repository → the plan that was last rejected there, if there is one."""
        names = tuple(repositories)
        with self._connection.reached() as client:
            texts = client.mget([self._keys.refused(name) for name in names]) if names else []
        return {name: Rejection(**json.loads(text)) for name, text in zip(names, texts, strict=True) if text}

    def note(self, repository: str, action: str, by: str, reason: str) -> None:
        """Add a history entry about a repository as a whole. action: such as approved; by: the user."""
        fields = {"action": action, "tag": "", "digest": "", "size": "0", "actor": by, "agent": "", "address": ""}
        fields |= {"at_us": str(time.time_ns() // 1000), "reason": reason, "rule": "", "media": ""}
        limits = self._limits
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.xadd(self._keys.history(repository), fields, maxlen=limits.repository_entries)
            pipe.xadd(self._keys.of("events"), {"repository": repository, **fields}, maxlen=limits.events)
            pipe.execute()
