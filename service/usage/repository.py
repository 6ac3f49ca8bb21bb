"""Measure one repository: the sizes of its images, and the storage that they use together."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from service.domain.errors import MisnamedManifest
from service.domain.oci.manifest import References, references_of
from service.domain.retention.sizes import image_size, unsized_manifests
from service.domain.usage import UNMEASURED
from service.reconcile.pace import Pace
from service.registry import Registry
from service.store import Store
from service.store.usage import version

# The parts of an index can be indexes: manifests are read level by level.
_LEVELS = 4


class RepositoryMeasurement:
    """One measurement of one repository.

    Attributes:
        read: the number of manifests that were read at the registry.
        unreadable: the manifests that tell no size, by digest: unreadable ones, and those with too many layers.
    """

    def __init__(
        self, store: Store, registry: Registry, repository: str, pace: Pace, most: int, unreadable: frozenset[str]
    ) -> None:
        """Read the repository's state in Redis.

        Args:
            most: manifests to read at the registry, at most.
            unreadable: digests that an earlier measurement could not read.
        """
        self._store, self._registry, self._repository, self._pace = store, registry, repository, pace
        # Before the layers: a deletion between the two is measured the next time.
        self._shrunk = store.usage.shrunk(repository)
        self._snapshot = store.history.snapshot(repository)
        self._layers = store.facts.layers(repository)
        self._most, self._is_complete = most, not registry.is_configured
        self.read, self.unreadable = 0, unreadable

    def measure(self) -> None:
        """Read the manifests whose sizes are missing, and note the sizes of the tags and of the repository.

        Raises:
            RegistryUnavailable, RegistryRefused: the registry cannot be asked. What was learnt before is noted.
            StoreUnavailable: Redis does not answer.
        """
        try:
            for _ in range(_LEVELS):
                if self._is_complete:
                    break
                self._read_level()
        finally:
            self._note_sizes()

    def _read_level(self) -> None:
        missing = self._missing()
        chosen = missing[: max(self._most - self.read, 0)]
        self._is_complete = not missing
        if chosen:
            self._read(chosen)

    def _missing(self) -> tuple[str, ...]:
        """The manifests that must be read to know all sizes, each once."""
        tags = self._snapshot.tags
        if len(self._layers) >= self._store.facts.most_layers:
            # Reading more would only displace what is known. A size that was noted once stays.
            tags = tuple(tag for tag in tags if not tag.size_bytes)
        missing = (unsized_manifests(self._snapshot, tag.digest, self._layers) for tag in tags)
        return tuple(dict.fromkeys(name for names in missing for name in names if name not in self.unreadable))

    def _read(self, digests: Sequence[str]) -> None:
        self.read += len(digests)
        with ThreadPoolExecutor(self._registry.parallel, thread_name_prefix="sizes") as pool:
            read = dict(zip(digests, pool.map(self._references, digests), strict=True))
        history, facts = self._store.history, self._store.facts
        indexes = {digest: references for digest, references in read.items() if references and references.children}
        if indexes:
            facts.resolve(self._snapshot, indexes)
            self._snapshot = history.snapshot(self._repository)
        facts.learn(self._repository, read)
        self._layers = {**self._layers, **facts.layers(self._repository, digests)}
        self.unreadable |= {digest for digest in digests if digest not in self._layers and digest not in indexes}

    def _references(self, digest: str) -> References | None:
        self._pace.take()
        try:
            manifest = self._registry.client.get(self._repository, digest)
        except MisnamedManifest:
            return References(readable=False)
        return references_of(manifest.media_type, manifest.content) if manifest else None

    def _note_sizes(self) -> None:
        snapshot, usage = self._snapshot, self._store.usage
        digests = {tag.digest for tag in snapshot.tags}
        sizes = {digest: image_size(snapshot, digest, self._layers) for digest in digests}
        changed = {tag: size for tag in snapshot.tags if (size := sizes[tag.digest]) and size != tag.size_bytes}
        usage.note_image_sizes(self._repository, changed)
        blobs = {blob: size for known in self._layers.values() for blob, size in known}
        unknown = sum(sizes[tag.digest] is None for tag in snapshot.tags)
        before = usage.sizes([self._repository]).get(self._repository, UNMEASURED)
        # Without a version, the repository is measured again soon.
        measured = version(snapshot.generation, self._shrunk) if self._is_complete else ""
        now_ms = self._store.connection.now_ms()
        usage.note_size(self._repository, before.followed_by(sum(blobs.values()), unknown, measured, now_ms))
