"""Search repositories, tags, manifests and users in all that is recorded, within a bounded time."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.domain.history.search import TAG_STATES, ParsedSearch, TagMatch, UserMatch, parse_search
from service.store.history import History
from service.store.search import Searcher, SearchPlace

# The repositories get most of the time: what they hold is current, and the history may be long.
_REPOSITORIES_S = 0.7
_HISTORY_S = 0.2
_RANKS = 3


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The matches of a search, the best first.

    Attributes:
        repositories: names of repositories.
        repository_count: the number of matching repositories, of which only the best are listed.
        tag_count: the number of matching tags and manifests, of which only the best are listed.
        unsearched: number of repositories whose tags were not searched, because the time was up.
        history_from_us: deletions before this time were not searched, except restorable ones; None if all were.
    """

    query: ParsedSearch
    repositories: tuple[str, ...] = ()
    repository_count: int = 0
    tags: tuple[TagMatch, ...] = ()
    tag_count: int = 0
    users: tuple[UserMatch, ...] = ()
    unsearched: int = 0
    history_from_us: int | None = None


@dataclass(frozen=True)
class Search:
    """Search in the recorded history."""

    history: History
    searcher: Searcher

    def find(
        self, text: str, limit: int = 50, *, patience_s: float = _REPOSITORIES_S, history_s: float = _HISTORY_S
    ) -> SearchResult:
        """Return the best matches of a text; `parse_search` says what the text can be.

        Args:
            limit: repositories, tags and users to list, each.
            patience_s: for how long the tags of repositories are searched.
            history_s: for how long the recorded history is searched after that.

        Raises:
            StoreUnavailable: Redis is away.
        """
        query = parse_search(text)
        names = self.history.repositories()
        matching = sorted(
            (name for name in names if query.repository and query.repository in name),
            key=lambda name: _rank(query.repository, name),
        )
        search = _RunningSearch(query, limit)
        unsearched, from_us = 0, None
        if query.text or query.digest:
            searched = matching if query.is_reference else names
            unsearched = search.search_repositories(self.searcher, searched, time.monotonic() + patience_s)
            from_us = search.search_history(self.searcher, time.monotonic() + history_s)
        listed = () if query.is_reference else matching
        return SearchResult(
            query, tuple(listed[:limit]), len(listed), search.best_tags(), search.count, search.best_users(),
            unsearched, from_us,
        )  # fmt: skip


class _RunningSearch:
    """One search, and its matches so far."""

    def __init__(self, query: ParsedSearch, limit: int) -> None:
        self._query, self._limit = query, limit
        self._tags: dict[tuple[str, str, str], TagMatch] = {}
        self._users: Counter[str] = Counter()
        # The number of different matches of each rank, the best rank first.
        self._ranked = [0] * _RANKS
        self.count = 0

    def search_repositories(self, searcher: Searcher, names: Sequence[str], end_s: float) -> int:
        """Search the tags of these repositories. Return the number of repositories for which there was no time."""
        place = SearchPlace()
        while place.searched < len(names) and time.monotonic() < end_s:
            step = searcher.step(names, self._query, place, self._limit, self._open_ranks)
            place = step.place
            self._add(step.tags)
            self.count += step.count - len(step.tags)
            for user in step.users:
                self._users[user.name] += user.tags
        return len(names) - place.searched

    @property
    def _open_ranks(self) -> int:
        """The number of ranks whose matches can be among the best, from the best rank on."""
        total = 0
        for rank, count in enumerate(self._ranked, 1):
            total += count
            if total >= self._limit:
                return rank
        return _RANKS

    def search_history(self, searcher: Searcher, end_s: float) -> int | None:
        """Search the recorded events, newest first. Return the time (µs) of the oldest one read, None if all were."""
        before = None
        while True:
            page = searcher.events(self._query, before)
            # A user who pushed no live tag is found here.
            self._users.update(dict.fromkeys(page.users, 0))
            self._add(
                match
                for match in page.tags
                if not self._query.is_reference or self._query.repository in match.repository
            )
            before = page.before
            if before is None:
                return None
            if time.monotonic() > end_s:
                return page.from_us

    def best_tags(self) -> tuple[TagMatch, ...]:
        """Return the best matches."""
        return tuple(sorted(self._tags.values(), key=self._order)[: self._limit])

    def best_users(self) -> tuple[UserMatch, ...]:
        """Return the best users."""
        names = sorted(self._users, key=lambda name: _rank(self._query.text, name.lower()))
        return tuple(UserMatch(name, self._users[name]) for name in names[: self._limit])

    def _add(self, matches: Iterable[TagMatch]) -> None:
        for match in matches:
            # A tag that is live, or was deleted again since, is not listed for an earlier deletion.
            key = (match.repository, match.tag, match.digest if self._query.digest else "")
            if key not in self._tags:
                self._tags[key] = match
                self._ranked[self._rank_of(match)] += 1
                self.count += 1

    def _order(self, match: TagMatch) -> tuple[object, ...]:
        place = _rank(self._query.repository, match.repository) if self._query.is_reference else (0, 0, "")
        return (
            self._rank_of(match),
            place,
            TAG_STATES.index(match.state),
            -(match.at_us or 0),
            match.repository,
            match.tag,
        )

    def _rank_of(self, match: TagMatch) -> int:
        if self._query.digest and match.digest.startswith(self._query.digest):
            return 0
        return _rank(self._query.text, match.tag.lower())[0] if self._query.text else 0


def _rank(text: str, name: str) -> tuple[int, int, str]:
    """Return the place of a name among the matches of a text: equal, then beginning with it, then containing it."""
    rank = 0 if name == text else 1 if name.startswith(text) else 2
    return rank, len(name), name
