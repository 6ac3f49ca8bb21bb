"""Which tags each rule selects, in which group, and how it ranks them."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy

from service.domain.pattern import selector_of
from service.domain.policy import Rule
from service.domain.ranking import ORDERS, Key, Ranking, last_used_first, newest_push_first, rank
from service.domain.state import Tag

_Selected = Mapping[str, tuple[Tag, str]]


class Selections:
    """For each rule of one repository the tags that it selects. Rules that select and rank alike share the work."""

    def __init__(self, rules: tuple[tuple[str, Rule], ...], free: Iterable[Tag], now_us: int) -> None:
        """free: the tags that rules decide about."""
        lists = tuple(dict.fromkeys(rule.tags for _, rule in rules))
        selector = selector_of(lists)
        by_list: list[list[Tag]] = [[] for _ in lists]
        for tag in sorted(free, key=newest_push_first):
            for at in selector.select(tag.name):
                by_list[at].append(tag)
        self.rules = rules
        self._selector = selector
        self._list_of = tuple(lists.index(rule.tags) for _, rule in rules)
        self._by_list = by_list
        self._select_at(now_us)

    def at(self, now_us: int) -> "Selections":
        """The same at another moment."""
        if not any(rule.older_than for _, rule in self.rules):
            return self
        other = copy(self)
        other._select_at(now_us)
        return other

    def group(self, number: int, tag: Tag) -> str | None:
        """The group of the tag in the rule at this place; None when the rule does not select it."""
        found = self._selected[number].get(tag.name)
        return found[1] if found else None

    def selected(self, number: int) -> Iterator[tuple[Tag, str]]:
        """The tags that the rule at this place selects, each with its group; the newest push first."""
        return iter(self._selected[number].values())

    def order(self, number: int) -> Ranking:
        """The places in the rule's own order."""
        order = self.rules[number][1].order
        return self._ranking(number, order, ORDERS[order])

    def pulls(self, number: int) -> Ranking:
        """The places by last use."""
        return self._ranking(number, "pulled", last_used_first)

    def naming(self, name: str) -> Iterator[tuple[str, Rule]]:
        """(name, rule) of every rule that could select a tag of this name, whatever its age."""
        lists = self._selector.select(name)
        for (rule_name, rule), at in zip(self.rules, self._list_of, strict=True):
            if at in lists and rule.grouping.of(name) is not None:
                yield rule_name, rule

    def pending_us(self) -> Iterator[int]:
        """The moments at which a tag that is too young for a rule will be selected by it."""
        for (_, rule), at in zip(self.rules, self._list_of, strict=True):
            for tag in self._by_list[at] if rule.older_than else ():
                due_us = (tag.pushed_us or 0) + rule.older_than * 1_000_000
                if due_us > self._now_us and rule.grouping.of(tag.name) is not None:
                    yield due_us

    def _ranking(self, number: int, order: str, key: Key) -> Ranking:
        rule, selected = self.rules[number][1], self._selected[number]
        known = (id(selected), order, rule.count)
        if known not in self._rankings:
            self._rankings[known] = rank(selected.values(), key, by_digest=rule.count == "digests")
        return self._rankings[known]

    def _select_at(self, now_us: int) -> None:
        self._now_us = now_us
        self._selected = tuple(self._select())
        self._rankings: dict[object, Ranking] = {}

    def _select(self) -> Iterator[_Selected]:
        taken: frozenset[str] = frozenset()
        alike: dict[object, _Selected] = {}
        for (_, rule), at in zip(self.rules, self._list_of, strict=True):
            known = (at, rule.group, rule.older_than, taken)
            if known not in alike:
                candidates = (tag for tag in self._by_list[at] if tag.name not in taken)
                alike[known] = dict(self._grouped(rule, candidates))
            yield alike[known]
            if rule.final:
                taken = taken.union(alike[known])

    def _grouped(self, rule: Rule, candidates: Iterable[Tag]) -> Iterator[tuple[str, tuple[Tag, str]]]:
        youngest_us = self._now_us - rule.older_than * 1_000_000
        for tag in candidates:
            group = rule.grouping.of(tag.name)
            if group is not None and (not rule.older_than or (tag.pushed_us or 0) <= youngest_us):
                yield tag.name, (tag, group)
