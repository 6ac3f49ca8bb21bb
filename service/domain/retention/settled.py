"""Settled tags: one rule keeps each of them by its `last`, until the tag changes or other tags take its place.

In a repository of 100,000 tags, a push changes the verdicts on a few. So a plan sets aside the tags that a plan before
found to be settled, decides about the rest, and is the whole plan all the same:

- A tag set aside has not changed. No other rule selects it, and no other tag or record names its digest.
- The tags set aside take d places of their group. Of its other tags, r rank before the last of them. If d + r ≤ `last`,
  the group keeps all of them, and a tag that ranks behind them has as many before it as are counted.
- A group that has become more crowded is decided as a whole.

Whatever else could keep or delete one image because of another makes the plan whole: final rules, ages, revisions,
pulls, creation dates, referrers, lost tags, unknown push times, and every record of a tag or a digest set aside.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from service.domain.policy.model import Keep, Policy, Rule
from service.domain.retention.aside import Aside, Places
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.ranking import RANKS
from service.domain.retention.state import REFERRER_PREFIX, State, Tag

_ORDERS = ("pushed", "semver", "name")
# A rule whose `last` is over _LARGE leaves so many places of a group to pushes. A smaller group is decided as a whole
# when it is crowded.
_MARGIN = 200
_LARGE = 800
# If more tags must be decided again because their groups are crowded, the plan is whole, and settles them anew.
_MOST_CROWDED = 5_000
# (number of the rule, name of the group)
Group = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Settled:
    """The settled tags of one state.

    Attributes:
        policy: the policy that keeps them.
        tags: name → settled tag.
        group_of: name → the group of the settled tag.
        groups: the places that they take.
        digests: of the settled tags.
        newest_us: the time (µs) of the newest push of a settled tag; 0 for none.
        others: the names of all other tags, also of those that had changed and do not exist.
    """

    policy: Policy
    tags: Mapping[str, Tag]
    group_of: Mapping[str, Group]
    groups: Mapping[Group, Places]
    digests: frozenset[str]
    newest_us: int
    others: frozenset[str]


def settle(evaluation: Evaluation, changed: AbstractSet[str]) -> Settled | None:
    """Return the settled tags; None if plans by this policy, or of this state, must be whole.

    Args:
        evaluation: of all tags.
        changed: names that do not count as settled.
    """
    state = evaluation.state
    rules = [rule for _, rule in evaluation.rules]
    if not (any(map(_most, rules)) and all(map(_is_plain, rules))) or _is_doubtful(state, state.tags):
        return None
    named = _named_digests(state)
    tags: dict[str, Tag] = {}
    group_of: dict[str, Group] = {}
    worst: dict[Group, Any] = {}
    for tag, group, rank in _certainly_kept(evaluation):
        is_alone = len(evaluation.holders[tag.digest]) == 1 and tag.digest not in named
        if is_alone and not tag.unannounced and tag.name not in changed:
            tags[tag.name], group_of[tag.name], worst[group] = tag, group, rank
    return Settled(
        evaluation.policy,
        tags,
        group_of,
        {group: Places(count, worst[group]) for group, count in Counter(group_of.values()).items()},
        frozenset(tag.digest for tag in tags.values()),
        _newest_us(tags.values()),
        frozenset(tag.name for tag in state.tags if tag.name not in tags) | changed,
    )


def _certainly_kept(evaluation: Evaluation) -> Iterator[tuple[Tag, Group, Any]]:
    """Yield (tag, group, rank) of the tags that only one rule selects, and keeps by its `last`; the best rank first."""
    selections = evaluation.selections
    selected = [(number, rule) for number, (_, rule) in enumerate(evaluation.rules)]
    rules_of = Counter(tag.name for number, _ in selected for tag, _ in selections.selected(number))
    for number, rule in selected:
        rank_of, most = RANKS[rule.order], _most(rule)
        most = most - _MARGIN if most > _LARGE else most
        counted: defaultdict[str, set[str]] = defaultdict(set)
        for tag, group in selections.selected(number, rule.order):
            counted[group].add(tag.digest if rule.count == "digests" else tag.name)
            if len(counted[group]) <= most and rules_of[tag.name] == 1:
                yield tag, (number, group), rank_of(tag)


def without_settled(
    settled: Settled, state: State, now_us: int, tags: Mapping[str, Tag], changed: AbstractSet[str]
) -> Evaluation | None:
    """Return the evaluation of the other tags; None if it is not certain that the settled tags are still settled.

    Args:
        settled: of an earlier state.
        state: the state now.
        tags: name → tag of the state.
        changed: the names of all tags that may have changed since the earlier state.
    """
    outdated = settled.tags.keys() & changed
    rest = [tags[name] for name in settled.others | changed if name in tags]
    needed = {tag.digest for tag in rest} | _named_digests(state)
    is_named = not settled.digests.isdisjoint(needed - {settled.tags[name].digest for name in outdated})
    is_requested = bool((settled.tags.keys() & state.manual_deletions.keys()) - outdated)
    if is_named or is_requested or _is_doubtful(state, rest):
        return None
    newest_us = settled.newest_us
    if any(settled.tags[name].pushed_us == newest_us for name in outdated):
        newest_us = _newest_us(state.tags)
    left = Counter(settled.group_of[name] for name in outdated)
    groups = {group: Places(places.count - left[group], places.worst) for group, places in settled.groups.items()}
    evaluation = _evaluation(state, rest, settled.policy, now_us, groups, newest_us)
    crowded = _crowded(evaluation, groups)
    if not crowded:
        return evaluation
    if sum(groups.pop(group).count for group in crowded) > _MOST_CROWDED:
        return None
    rest += [tag for name, tag in settled.tags.items() if settled.group_of[name] in crowded and name not in outdated]
    return _evaluation(state, rest, settled.policy, now_us, groups, newest_us)


def _evaluation(
    state: State, rest: Iterable[Tag], policy: Policy, now_us: int, groups: Mapping[Group, Places], newest_us: int
) -> Evaluation:
    places: defaultdict[int, dict[str, Places]] = defaultdict(dict)
    for (number, name), taken in groups.items():
        places[number][name] = taken
    aside = Aside(state, newest_us, places)
    return Evaluation(replace(state, tags=tuple(rest)), policy, now_us, aside=aside)


def _crowded(evaluation: Evaluation, groups: Mapping[Group, Places]) -> set[Group]:
    """Return the groups in which other tags may have taken the places of settled tags."""
    taken = {group: places.count for group, places in groups.items()}
    for number, (_, rule) in enumerate(evaluation.rules):
        rank_of = RANKS[rule.order]
        for tag, name in evaluation.selections.selected(number, rule.order):
            group = (number, name)
            if group in groups and rank_of(tag) <= groups[group].worst:
                taken[group] += 1
    return {group for group, count in taken.items() if count > _most(evaluation.rules[group[0]][1])}


def _most(rule: Rule) -> int:
    return (rule.keep.last or 0) if isinstance(rule.keep, Keep) else 0


def _is_plain(rule: Rule) -> bool:
    """True if the rule decides about each group by the order of its tags alone, or about each tag by itself."""
    keep = rule.keep
    if rule.final or rule.older_than or rule.order not in _ORDERS:
        return False
    return not isinstance(keep, Keep) or (keep.only_last_compares_tags and keep.mode == "any")


def _is_doubtful(state: State, tags: Iterable[Tag]) -> bool:
    """True if the verdict on one of these tags may depend on others in another way than by places."""
    return (
        bool(state.lost)
        or any(known and known.subject for known in state.links.values())
        or any(tag.pushed_us is None or tag.name.startswith(REFERRER_PREFIX) for tag in tags)
    )


def _named_digests(state: State) -> set[str]:
    """Return the digests that the state names otherwise than by a tag, so that a verdict may depend on their tags."""
    digests = {child for known in state.links.values() if known for child in known.children}
    digests.update(digest for digest, known in state.links.items() if known is None or not known.readable)
    digests.update(state.manual_deletions, state.manual_deleted)
    for untagged in state.untagged:
        digests.update((untagged.digest, untagged.index))
    return digests


def _newest_us(tags: Iterable[Tag]) -> int:
    return max((tag.pushed_us or 0 for tag in tags if not tag.unannounced), default=0)
