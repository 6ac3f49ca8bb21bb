"""Unfinished pushes in Redis, as requests at the gate and notifications show them, and the blobs that they need."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.store.connection import Connection
from service.store.gate import CLAIMS_MS
from service.store.keys import long, short
from service.store.limits import PushLimits

# The name that stands for repositories that are not known.
MORE = "*"
_UNKNOWN = "!"
_IDLE_MS = 30_000
_OPEN_MS = 600_000
_ASKING_MS = 5_000
_FRESH_MS = 10_000


@dataclass(frozen=True, slots=True)
class UnreferencedBlob:
    """A blob that an unfinished push needs and that none of its manifests references yet.

    heard: known from a notification, not from the gate.
    """

    repository: str
    digest: str
    at_ms: int
    heard: bool
    client: str = ""


@dataclass(frozen=True, slots=True)
class UnreadManifest:
    """A manifest whose push was reported without its references.

    put_ms: when the gate last admitted a manifest of this client.
    """

    repository: str
    digest: str
    client: str
    put_ms: int


class UnfinishedPushes:
    """The pushes under way. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, bounds: PushLimits | None = None) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._bounds = bounds or PushLimits()

    def repositories(self, claims_ms: int = CLAIMS_MS) -> tuple[str, ...]:
        """Return the repositories with a push under way that a collection should wait for; MORE if not all are known.

        A collection does not wait for a push that has made no request for half a minute: its blobs are protected.
        After the first `claims_ms`, it does not wait for a client that only claims to push: the registry must have
        reported the push.
        """
        now_ms = self._connection.now_ms()
        client = self._connection.redis
        signs = client.zrangebyscore(self._keys.of("pushing"), now_ms - _OPEN_MS, "+inf", withscores=True)
        blobs = client.zrangebyscore(self._keys.of("unreferenced"), now_ms - _FRESH_MS, "+inf", withscores=True)
        held_ms = client.hget(self._keys.of("gate"), "since_ms")
        # What a client claims counts only for a moment; after that, the registry must have reported the push.
        believes = held_ms is None or now_ms - int(held_ms) < claims_ms
        read = self._read()
        fresh = {
            (repository, pusher)
            for repository, _, pusher, at_ms in (
                (*member.split(" "), at_ms) for member, at_ms in blobs if member != "*"
            )
            if at_ms > read.get((repository, pusher), -1)
        }
        ages = {member: now_ms - sign_ms for member, sign_ms in signs}
        repositories = set()
        for member, age_ms in ages.items():
            repository, pusher, kind = member.split(" ")
            is_told = pusher.startswith("~") or f"{repository} ~{pusher} open" in ages
            if kind == "open":
                waits = age_ms <= _IDLE_MS and (is_told or believes)
            elif kind == "put":
                waits = age_ms < _FRESH_MS and (is_told or believes) and (repository, pusher) in fresh
            elif kind == "asking":
                waits = age_ms < _ASKING_MS and believes
            else:
                waits = age_ms < _IDLE_MS
            if waits:
                repositories.add(repository)
        return tuple(sorted(repositories))

    def _read(self) -> dict[tuple[str, str], int]:
        """Return (repository, client) → the time (ms) up to which all its blobs belong to reported manifests."""
        read: dict[tuple[str, str], int] = {}
        for manifest in self.unread_manifests():
            at = (manifest.repository, manifest.client)
            read[at] = max(read.get(at, -1), manifest.put_ms)
        return read

    def unread_manifests(self) -> tuple[UnreadManifest, ...]:
        """Return the recently pushed manifests whose references the registry did not report."""
        members = self._connection.redis.zrange(self._keys.of("unread_manifests"), 0, -1)
        parts = (member.split(" ") for member in members)
        return tuple(
            UnreadManifest(repository, long(word), pusher, int(put)) for repository, word, pusher, put in parts
        )

    def release_blobs(self, unread: UnreadManifest, references: Iterable[str]) -> int:
        """Record that the blobs that a manifest references are not unreferenced any more, and return their number."""
        member = f"{unread.repository} {short(unread.digest)} {unread.client} {unread.put_ms}"
        released = self._connection.run(
            "gate_release_blobs",
            unread.repository,
            member=member,
            client=unread.client,
            put_ms=unread.put_ms,
            references=tuple(map(short, references)),
        )
        return int(released)

    def unreferenced(self, digests: Iterable[str]) -> tuple[UnreferencedBlob, ...]:
        """Return the given blobs that an unfinished push needs.

        An entry with an empty digest means that not all are known: assume that every blob is needed.
        """
        wanted = {short(digest): digest for digest in digests}
        since_ms = self._connection.now_ms() - self._bounds.youth_ms
        members = self._connection.redis.zrangebyscore(self._keys.of("unreferenced"), since_ms, "+inf", withscores=True)
        entries = []
        for member, at_ms in members:
            # "*" says that there were more blobs than can be remembered.
            repository, blob, pusher = member.split(" ") if member != "*" else ("*", "", "")
            if blob in wanted or not blob:
                heard = pusher.startswith("~")
                entries.append(
                    UnreferencedBlob(repository, wanted.get(blob, ""), int(at_ms), heard, pusher.removeprefix("~"))
                )
        return tuple(entries)

    def manifests_put(self, since_ms: float = 0) -> tuple[str, ...]:
        """Return the repositories that got a manifest since, within gc.youth at most; MORE if not all are known."""
        members = self._connection.redis.zrangebyscore(self._keys.of("pushing"), since_ms, "+inf")
        repositories = {member.partition(" ")[0] for member in members if member.endswith((" put", " more"))}
        return tuple(sorted(repositories))

    def may_have_passed(self, within_s: float) -> bool:
        """Return True if the gate let a PUT of a manifest pass within this time, or a request that may be such a PUT.

        The proxy may not have sent it to the registry yet. What the registry has reported since has arrived there.
        """
        since_ms = self._connection.now_ms() - within_s * 1000
        unknown_ms = self._connection.redis.zscore(self._keys.of("gc:noted"), _UNKNOWN)
        return (unknown_ms is not None and unknown_ms >= since_ms) or not self.reported_ms(int(since_ms))

    def reported_ms(self, since_ms: int = 0) -> int:
        """Return the time (ms) if the registry has reported every PUT of a manifest that the gate has let pass.

        Args:
            since_ms: that passed since this time; 0: since a collection has the gate.

        Returns:
            0 if one was not reported: it may be on its way, or in progress, or the registry has refused it.
        """
        return int(self._connection.run("manifests_reported", since_ms=since_ms))

    def noted_since(self, at_ms: int) -> bool:
        """Return True if an unfinished push was noted at `at_ms` or later to need a blob."""
        return bool(self._connection.redis.zcount(self._keys.of("unreferenced"), at_ms, "+inf"))
