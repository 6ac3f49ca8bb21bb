"""The tags that each rule selects, their groups, and their ranking."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from functools import cache
from itertools import islice
from math import inf

from service.domain.policy.model import EVERY_TAG, Keep, Rule
from service.domain.policy.patterns import selector_of
from service.domain.retention.aside import Places
from service.domain.retention.ranking import ORDERS, Ranking, rank
from service.domain.retention.state import Tag

Lists = frozenset[int]
# (start in µs, end in µs, group): a rule selects a tag in this period, in this group.
SelectedPeriod = tuple[float, float, str]
_NEVER: SelectedPeriod = (inf, -inf, "")


class Feed:
    """Tags in one order, distributed to the lists of patterns that select them. Tags are read only when needed."""

    def __init__(self, ordered: Iterable[Tag], lists_of: Callable[[str], Lists]) -> None:
        self._unread = iter(ordered)
        self._lists_of = lists_of
        self._read: list[Tag] = []
        self._by_list: defaultdict[int, list[Tag]] = defaultdict(list)
        self._selecting = cache(lambda lists: tuple(self._by_list[at] for at in lists))

    def all(self) -> Iterator[Tag]:
        """Return all tags, selected or not."""
        while self._read_on():
            pass
        return iter(self._read)

    def of(self, at: int, start: int = 0) -> Iterator[Tag]:
        """Yield the tags that the list number `at` selects, without the first `start`."""
        tags = self._by_list[at]
        while start < len(tags) or self._read_on():
            if start < len(tags):
                yield tags[start]
                start += 1

    def backwards(self, at: int, count: int) -> Iterator[Tag]:
        """Return the first `count` tags of the list in reverse order. They must have been read before."""
        return reversed(self._by_list[at][:count])

    def pushed_after(self, at: int, moment_us: int) -> int:
        """Return how many tags of the list were pushed after this moment. The feed must be in order of push."""
        while (not self._read or (self._read[-1].pushed_us or 0) > moment_us) and self._read_on():
            pass
        return bisect_left(self._by_list[at], -moment_us, key=lambda tag: -(tag.pushed_us or 0))

    def _read_on(self) -> bool:
        tag = next(self._unread, None)
        if tag is None:
            return False
        self._read.append(tag)
        for tags in self._selecting(self._lists_of(tag.name)):
            tags.append(tag)
        return True


class Selections:
    """The tags that each rule of one repository selects. Rules are identified by their number.

    Results are computed when they are first needed.
    """

    def __init__(
        self,
        rules: tuple[tuple[str, Rule], ...],
        free: Iterable[Tag],
        now_us: int,
        places: Mapping[int, Mapping[str, Places]],
    ) -> None:
        """Prepare the selections.

        Args:
            rules: (name, rule) of each rule that matches the repository.
            free: the tags that rules decide about, the newest push first.
            places: as in Aside.
        """
        lists = tuple(dict.fromkeys(rule.tags for _, rule in rules))
        number_of = {patterns: at for at, patterns in enumerate(lists)}
        group_of = {rule.group: _group_finder(rule) for _, rule in rules}
        self.rules = rules
        self.ages = any(rule.older_than for _, rule in rules)
        self._list = tuple(number_of[rule.tags] for _, rule in rules)
        self._group = tuple(group_of[rule.group] for _, rule in rules)
        self._older_us = tuple(rule.older_than * 1_000_000 for _, rule in rules)
        self._lists_of = _list_finder(lists)
        self._matching = cache(self._rules_of)
        self._taking = cache(self._finals_before)
        finals = [number for number, (_, rule) in enumerate(rules) if rule.final]
        self._finals = tuple(tuple(finals[: bisect_left(finals, number)]) for number in range(len(rules)))
        self._stays: defaultdict[int, dict[str, SelectedPeriod]] = defaultdict(dict)
        self._feeds = {"pushed": Feed(free, self._lists_of)}
        self._now_us = now_us
        self._rankings: dict[tuple[int, str], Ranking] = {}
        self._places = places

    def at(self, now_us: int) -> "Selections":
        """Return the selections at another moment. Results that do not depend on time are shared."""
        if not self.ages:
            return self
        other = copy(self)
        other._now_us, other._rankings = now_us, {}
        return other

    def selecting(self, tag: Tag) -> Iterator[tuple[int, str]]:
        """Yield (rule number, group) of every rule that selects the tag, up to the first final rule."""
        for number in self._matching(self._lists_of(tag.name)):
            group = self._group_if_selected(number, tag)
            if group is not None:
                yield number, group
                if self.rules[number][1].final:
                    return

    def selected(self, number: int, order: str = "pushed") -> Iterator[tuple[Tag, str]]:
        """Yield (tag, group) of the tags that the rule selects, in this order."""
        feed, at, now_us = self._feed(order), self._list[number], self._now_us
        young = feed.pushed_after(at, self._latest_us(number)) if order == "pushed" and self._older_us[number] else 0
        if not self._older_us[number] and not self._finals[number]:
            group_of = self._group[number]
            yield from ((tag, of) for tag in feed.of(at) if (of := group_of(tag.name)) is not None)
            return
        stays = self._stays[number]
        for tag in feed.of(at, young):
            stay = stays.get(tag.name)
            if stay is None:
                stay = stays[tag.name] = self._selected_period(number, tag)
            from_us, until_us, group = stay
            if from_us <= now_us < until_us:
                yield tag, group

    def ranking(self, number: int, order: str) -> Ranking:
        """Return the ranking of the tags that the rule selects, in this order."""
        if (number, order) not in self._rankings:
            by_digest = self.rules[number][1].count == "digests"
            ranking = rank(self.selected(number, order), by_digest=by_digest, order=order)
            for group, places in self._places.get(number, {}).items():
                ranking.reserve(group, places)
            self._rankings[number, order] = ranking
        return self._rankings[number, order]

    def kept_until_push(self, most: int) -> AbstractSet[str]:
        """Return names of tags that a rule keeps until another push, so that nothing else needs to be decided of them.

        These are most of the tags of a large repository, but not all: conditions of time are left to `result_of`.

        Args:
            most: number of tags that rules decide about. Rules beyond them are not looked at.
        """
        names: set[str] = set()
        for number, (_, rule) in enumerate(self.rules):
            if len(names) >= most:
                break
            keep = rule.keep
            if keep == "always" or (isinstance(keep, Keep) and not keep.limits_tags):
                names.update(tag.name for tag, _ in self.selected(number))
            elif isinstance(keep, Keep) and keep.mode == "any" and keep.last is not None:
                ranking = self.ranking(number, rule.order)
                names.update(ranking.inside(keep.last, one_group=rule.group is None))
        return names

    def naming(self, name: str) -> Iterator[tuple[str, Rule]]:
        """Yield (name, rule) of every rule that could select a tag of this name at some age."""
        for number, _ in self.possible(name):
            yield self.rules[number]

    def possible(self, name: str) -> Iterator[tuple[int, str]]:
        """Yield (rule number, group) of every rule that could select a tag of this name at some age."""
        for number in self._matching(self._lists_of(name)):
            group = self._group[number](name)
            if group is not None:
                yield number, group
                rule = self.rules[number][1]
                if rule.final and not rule.older_than:
                    return

    def next_us(self) -> Iterator[int]:
        """Yield for each rule the next time (µs) at which a tag becomes old enough for it."""
        for number in range(len(self.rules)):
            yield from islice(self.dues_us(number), 1)

    def dues_us(self, number: int) -> Iterator[int]:
        """Yield the times (µs) at which tags become old enough for the rule, the next time first."""
        if not self._older_us[number]:
            return
        feed, at = self._feeds["pushed"], self._list[number]
        for tag in feed.backwards(at, feed.pushed_after(at, self._latest_us(number))):
            if self._group[number](tag.name) is not None:
                yield (tag.pushed_us or 0) + self._older_us[number]

    def _latest_us(self, number: int) -> int:
        return self._now_us - self._older_us[number]

    def _group_if_selected(self, number: int, tag: Tag) -> str | None:
        """Return the group of a tag that the rule's list selects; None if it is too young or in no group."""
        if self._older_us[number] and (tag.pushed_us or 0) > self._latest_us(number):
            return None
        return self._group[number](tag.name)

    def _selected_period(self, number: int, tag: Tag) -> SelectedPeriod:
        """Return from when until when the rule selects a tag of its list. The result is the same at every moment."""
        group = self._group[number](tag.name)
        if group is None:
            return _NEVER
        taking = self._taking(number, self._lists_of(tag.name)) if self._finals[number] else ()
        takes = next((final for final in taking if self._group[final](tag.name) is not None), None)
        return self._from_us(number, tag), inf if takes is None else self._from_us(takes, tag), group

    def _finals_before(self, number: int, lists: Lists) -> tuple[int, ...]:
        """Return the final rules that hide tags of these lists from the rule, sorted by `older_than`."""
        finals = (final for final in self._finals[number] if self._list[final] in lists)
        return tuple(sorted(finals, key=self._older_us.__getitem__))

    def _from_us(self, number: int, tag: Tag) -> float:
        return (tag.pushed_us or 0) + self._older_us[number] if self._older_us[number] else -inf

    def _feed(self, order: str) -> Feed:
        if order not in self._feeds:
            self._feeds[order] = Feed(sorted(self._feeds["pushed"].all(), key=ORDERS[order]), self._lists_of)
        return self._feeds[order]

    def _rules_of(self, lists: Lists) -> tuple[int, ...]:
        return tuple(number for number, at in enumerate(self._list) if at in lists)


def _list_finder(lists: tuple[tuple[str, ...], ...]) -> Callable[[str], Lists]:
    if all(patterns in EVERY_TAG for patterns in lists):
        every = frozenset(range(len(lists)))
        return lambda name: every
    return cache(selector_of(lists).select)


def _group_finder(rule: Rule) -> Callable[[str], str | None]:
    """Return a function that finds the group of a tag; None if the rule does not select it."""
    return (lambda name: "") if rule.group is None else cache(rule.grouping.of)
