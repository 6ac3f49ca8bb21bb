"""The storage that images use: in total, by the first part of repository names, and by repository."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MOST_PREFIXES = 12
# No repository can have these names.
OTHER = "(other)"
SHARED = "(shared)"
_DAY_MS = 86_400_000
_GROWTH_DAYS = 7
# So many blobs are compared with those of other prefixes; each needs about 150 bytes of memory meanwhile.
_MOST_COMPARED = 500_000


@dataclass(frozen=True, slots=True)
class Usage:
    """The storage that the images of all repositories used at one moment. Each blob counts once.

    Attributes:
        at_ms: the moment, ms since the epoch.
        size_bytes: of all configs and layers: the sum of `prefixes`, `other_bytes` and `shared_bytes`.
        prefixes: first part of a repository name ("shop" of shop/api) → bytes that only its repositories use. The
            largest ones.
        other_bytes: of all other prefixes.
        shared_bytes: of blobs that repositories of several prefixes use.
        unknown: the number of tags whose image has an unknown size, which is left out.
        repositories: the number of repositories.
    """

    at_ms: int
    size_bytes: int
    prefixes: Mapping[str, int]
    other_bytes: int = 0
    shared_bytes: int = 0
    unknown: int = 0
    repositories: int = 0

    @property
    def bands(self) -> Mapping[str, int]:
        """The parts of the total by name, the rest as "(other)" and "(shared)"."""
        return {**self.prefixes, OTHER: self.other_bytes, SHARED: self.shared_bytes}


@dataclass(frozen=True, slots=True)
class RepositorySize:
    """The storage that the images of one repository use, when it was last measured. Each blob counts once.

    Attributes:
        size_bytes: of the configs and layers of all known manifests, blobs that other repositories have included.
        unknown: the number of tags whose image has an unknown size, which is left out.
        version: of the repository when it was measured (`UsageRecords.versions`).
        at_ms: when it was measured.
        days: (day since the epoch, size) of the last days on which it was measured, the oldest first.
    """

    size_bytes: int
    unknown: int
    version: str
    at_ms: int
    days: tuple[tuple[int, int], ...] = ()

    def growth_bytes(self, now_ms: int) -> int | None:
        """Return the change within seven days; None if the repository was not completely measured before today."""
        if self.unknown or not self.days or self.days[0][0] >= now_ms // _DAY_MS:
            return None
        since = now_ms // _DAY_MS - _GROWTH_DAYS
        before = [size for day, size in self.days if day <= since]
        return self.size_bytes - (before[-1] if before else self.days[0][1])

    def followed_by(self, size_bytes: int, unknown: int, version: str, at_ms: int) -> "RepositorySize":
        """Return the next measurement, with the sizes of the days before."""
        day = at_ms // _DAY_MS
        days = [entry for entry in self.days if entry[0] != day]
        # An incomplete size would look like growth once it is complete.
        if not unknown:
            days.append((day, size_bytes))
        # The newest size that is older than the period is where the growth begins.
        old = [entry for entry in days if entry[0] <= day - _GROWTH_DAYS]
        kept = old[-1:] + [entry for entry in days if entry[0] > day - _GROWTH_DAYS]
        return RepositorySize(size_bytes, unknown, version, at_ms, tuple(kept))


UNMEASURED = RepositorySize(0, 0, "", 0)


@dataclass
class UsageSum:
    """The sum over the blobs of all repositories."""

    unknown: int = 0
    repositories: int = 0
    _sizes: dict[str, int] = field(default_factory=dict)
    # Blob → its prefix, SHARED for several.
    _owners: dict[str, str] = field(default_factory=dict)

    def add(self, repository: str, blobs: Iterable[tuple[str, int]], unknown: int) -> None:
        """Add a repository. blobs: the mark and the size of each of its blobs, each blob once."""
        prefix = repository.partition("/")[0]
        sizes = self._sizes
        sizes.setdefault(prefix, 0)
        for mark, size in blobs:
            owner = self._owners.get(mark)
            if owner is None:
                sizes[prefix] += size
                if len(self._owners) < _MOST_COMPARED:
                    self._owners[mark] = prefix
            elif owner not in (prefix, SHARED):
                sizes[owner] -= size
                sizes[SHARED] = sizes.get(SHARED, 0) + size
                self._owners[mark] = SHARED
        self.unknown += unknown
        self.repositories += 1

    def usage(self, at_ms: int) -> Usage:
        """Return the sum, with the largest prefixes by name."""
        sizes = {name: size for name, size in self._sizes.items() if name != SHARED}
        largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        return Usage(
            at_ms=at_ms,
            size_bytes=sum(self._sizes.values()),
            prefixes=dict(largest[:MOST_PREFIXES]),
            other_bytes=sum(size for _, size in largest[MOST_PREFIXES:]),
            shared_bytes=self._sizes.get(SHARED, 0),
            unknown=self.unknown,
            repositories=self.repositories,
        )
