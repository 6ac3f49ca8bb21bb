"""Manual deletion requests and their rejections."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from service.domain.retention.state import ManualDeletion
from service.store.connection import Connection
from service.store.keys import short
from service.store.outbox import RESEND_MS
from service.store.packing import pack_manual, unpack_manual

_LIFE_S = 7 * 86_400


class ManualDeletions:
    """manual:R in Redis: a tag by its name, a manifest by its digest. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def request(
        self,
        repository: str,
        wanted: Mapping[str, str],
        by: str,
        *,
        force: bool = False,
        released: Mapping[str, int] = MappingProxyType({}),
    ) -> tuple[str, ...]:
        """Request the deletion of tags or manifests. The caller makes the repository due for a plan.

        Args:
            wanted: name → the digest that the user saw there. A name that points at another digest by now is left out.
            force: as in ManualDeletion.
            released: digests that were restored, and that the restore does not protect any longer → the end of the
                protection (µs). They stay protected if a later restore protects them, or if a name is left out.

        Returns:
            The names whose deletion was requested.
        """
        if not wanted:
            return ()
        at_us = self._connection.now_us()
        requests = [
            {
                "name": _field(name),
                "digest": digest,
                "short": short(digest),
                "json": pack_manual(ManualDeletion(digest, by, at_us, force=force)),
            }
            for name, digest in wanted.items()
        ]
        noted = self._connection.run(
            "request_deletions",
            repository,
            resend_ms=RESEND_MS,
            life_s=_LIFE_S,
            released=[{"digest": digest, "until_ms": until_us // 1000} for digest, until_us in released.items()],
            requests=requests,
        )
        names = {_field(name): name for name in wanted}
        return tuple(names[field] for field in noted)

    def requests(self, repository: str) -> Mapping[str, ManualDeletion]:
        """Return the deletion requests that are still open, and those that were rejected."""
        fields = self._connection.redis.hgetall(self._keys.of("manual", repository))
        requests = ((field, unpack_manual(text)) for field, text in fields.items())
        return {request.digest if "@" in field else field: request for field, request in requests}

    def reject(self, repository: str, asked: Mapping[str, ManualDeletion], answers: Mapping[str, str]) -> None:
        """Record why deletion requests are rejected. An empty reason deletes an obsolete request.

        A request that was renewed meanwhile stays open.
        """
        requests = [
            {
                "name": _field(name),
                "before": pack_manual(asked[name]),
                "after": pack_manual(replace(asked[name], rejected=reason)) if reason else "",
            }
            for name, reason in answers.items()
        ]
        self._connection.run("reject_requests", repository, requests=requests)


def _field(name: str) -> str:
    # A digest contains a colon, which the name of a tag cannot.
    return f"@{short(name)}" if ":" in name else name
