"""A state weighed by a policy at one moment: each tag's verdict, made when it is asked for."""

from collections.abc import Iterator, Mapping
from copy import copy
from functools import cached_property

from service.domain.opinion import Opinion, Place, opinion_of
from service.domain.plan import Verdict
from service.domain.policy import Keep, Policy, Rule
from service.domain.quantity import spell_duration
from service.domain.ranking import newest_push_first
from service.domain.selection import Selections
from service.domain.state import State, Tag, subject_of


class Weighing:
    """What every rule says of every tag of one state. Nothing is changed by asking, whatever the order.

    Only what is asked for is worked out: one tag of ten thousand does not cost what all of them do.
    """

    def __init__(self, state: State, policy: Policy, now_us: int) -> None:
        self.state, self.policy, self.now_us = state, policy, now_us
        self._fixed: dict[str, Verdict | None] = {}
        free = (tag for tag in self.newest_first if self.fixed_verdict(tag) is None)
        self.selections = Selections(self.rules, free, now_us)
        self._own: dict[str, Verdict] = {}
        self._keepers: dict[str, tuple[Verdict, ...]] = {}

    def at(self, now_us: int) -> "Weighing":
        """The same at another moment."""
        other = copy(self)
        other.now_us, other.selections = now_us, self.selections.at(now_us)
        other._own, other._keepers = {}, {}
        return other

    @cached_property
    def newest_first(self) -> tuple[Tag, ...]:
        """The tags, the newest push first."""
        return tuple(sorted(self.state.tags, key=newest_push_first))

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """child → the index that lists it."""
        return {child: index for index, known in sorted(self.state.links.items()) if known for child in known.children}

    @cached_property
    def holders(self) -> Mapping[str, tuple[Tag, ...]]:
        """digest → the tags that stand there, by name."""
        standing: dict[str, list[Tag]] = {}
        for tag in sorted(self.state.tags, key=lambda tag: tag.name):
            standing.setdefault(tag.digest, []).append(tag)
        return {digest: tuple(tags) for digest, tags in standing.items()}

    def verdict(self, tag: Tag) -> Verdict:
        """What happens to the tag. Safety rule 1: a digest goes only when no kept tag holds it."""
        own = self.own_verdict(tag)
        if own.kept:
            return own
        if tag.digest not in self._keepers:
            verdicts = (self.own_verdict(holder) for holder in self.holders[tag.digest])
            self._keepers[tag.digest] = tuple(verdict for verdict in verdicts if verdict.kept)
        keepers = self._keepers[tag.digest]
        if not keepers:
            return own
        ends = [keeper.until_us for keeper in keepers]
        until_us = None if None in ends else max(end for end in ends if end is not None)
        return Verdict(tag, True, f"its digest is kept as {keepers[0].tag.name}", own.rule, until_us)

    def own_verdict(self, tag: Tag) -> Verdict:
        """What would happen to the tag if no other tag held its digest."""
        if tag.name not in self._own:
            self._own[tag.name] = self.fixed_verdict(tag) or self._weigh(tag)
        return self._own[tag.name]

    def fixed_verdict(self, tag: Tag) -> Verdict | None:
        """The verdict that no rule and no time can change, if there is one: such a tag is kept and takes no slot."""
        if tag.name not in self._fixed:
            self._fixed[tag.name] = self._fix(tag)
        return self._fixed[tag.name]

    def opinions(self, tag: Tag) -> Iterator[Opinion]:
        """What each rule that selects the tag says of it, in the order of the rules; nothing where no rule can."""
        if self.fixed_verdict(tag) is not None:
            return
        for number, group in self.selections.selecting(tag):
            name, rule = self.selections.rules[number]
            yield opinion_of(name, rule, tag, self._place(number, rule, group), self.now_us)

    def _place(self, number: int, rule: Rule, group: str) -> Place:
        keep = rule.keep if isinstance(rule.keep, Keep) else None
        return Place(
            group,
            self.selections.ranking(number, rule.order) if keep and keep.last is not None else None,
            self.selections.ranking(number, "pulled") if keep and keep.last_pulled is not None else None,
        )

    def _fix(self, tag: Tag) -> Verdict | None:
        """A child is kept until its index is really gone, even one that goes now: the next plan takes it up."""
        if self.policy.protects(tag.name):
            return Verdict(tag, True, "protected by the policy")
        bound = self.bound_verdict(tag)
        if bound is None and tag.pushed_us is None:
            return Verdict(tag, True, "nobody knows when it was pushed; it counts from its next push")
        return bound

    def bound_verdict(self, tag: Tag) -> Verdict | None:
        """The verdict on what lives and dies with another manifest, or cannot be read; None for all else."""
        known = self.state.links.get(tag.digest)
        if known and not known.readable:
            return Verdict(tag, True, "its manifest cannot be read, so nobody knows what it holds")
        if tag.digest in self.parents:
            return Verdict(tag, True, f"it is part of the index {self.parents[tag.digest]}")
        subject = subject_of(tag.name, known)
        return self._follow(tag, subject) if subject else None

    def _follow(self, tag: Tag, subject: str) -> Verdict:
        """A referrer goes once its image was seen to go, and no rule of the repository says that referrers stay."""
        keeping = next((name for name, rule in self.rules if rule.referrers == "keep"), None)
        if subject not in self.state.deleted or self._stands(subject) or not self.rules:
            return Verdict(tag, True, f"it belongs to {subject} and follows it")
        if keeping:
            return Verdict(tag, True, f"its image is gone, and rule {keeping} keeps referrers", keeping)
        return Verdict(tag, False, f"its image {subject} is gone", self.rules[0][0], follows=True)

    def _stands(self, digest: str) -> bool:
        return digest in self.holders or digest in self.parents or digest in self._untagged

    @cached_property
    def _untagged(self) -> frozenset[str]:
        return frozenset(untagged.digest for untagged in self.state.untagged)

    @cached_property
    def rules(self) -> tuple[tuple[str, Rule], ...]:
        """(name, rule) of each rule that matches the repository."""
        return self.policy.rules_for(self.state.repository)

    def leased_us(self, digest: str) -> int:
        """Until when somebody says that a manifest is in use; an index is while one of its parts is."""
        known = self.state.links.get(digest)
        return max(self.state.leased.get(one, 0) for one in (digest, *(known.children if known else ())))

    def _weigh(self, tag: Tag) -> Verdict:
        against, keeping = None, None
        for opinion in self.opinions(tag):
            if opinion.keep and opinion.until_us is None:
                return Verdict(tag, True, opinion.reason, opinion.rule)
            if opinion.keep:
                keeping = keeping if keeping and _end(keeping) >= _end(opinion) else opinion
            else:
                against = against or opinion
        if keeping:
            return Verdict(tag, True, keeping.reason, keeping.rule, keeping.until_us)
        if against is None:
            return Verdict(tag, True, "no rule selects it")
        return self._respite(tag, against) or Verdict(tag, False, against.reason, against.rule)

    def _respite(self, tag: Tag, against: Opinion) -> Verdict | None:
        """What keeps a tag for a while although a rule would delete it."""
        grace_us = (tag.pushed_us or 0) + self.policy.grace * 1_000_000
        if self.policy.grace and self.now_us < grace_us:
            age = f"pushed less than {spell_duration(self.policy.grace)} ago (grace)"
            return Verdict(tag, True, age, against.rule, grace_us)
        leased_us = self.leased_us(tag.digest)
        if self.now_us < leased_us:
            return Verdict(tag, True, "somebody says that it is in use (lease)", against.rule, leased_us)
        return None


def _end(opinion: Opinion) -> int:
    return opinion.until_us or 0


def kept_revisions(weighing: Weighing) -> Mapping[str, tuple[str, str]]:
    """The overwritten digests that a rule's `revisions` keep: digest → (why, rule)."""
    kept: dict[str, tuple[str, str]] = {}
    if not any(isinstance(rule.keep, Keep) and rule.keep.revisions for _, rule in weighing.selections.rules):
        return kept
    live = {tag.name: tag for tag in weighing.newest_first}
    for name, overwritten in sorted(weighing.state.revisions.items()):
        if name in live and not weighing.verdict(live[name]).kept:
            continue  # a tag that is not seen at the moment may be back: only one that goes takes its past along
        for rule_name, rule in weighing.selections.naming(name):
            most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
            for number, digest in enumerate(overwritten[:most], 1):
                reason = f"number {number} of the last {most} revisions of {name} (rule {rule_name})"
                kept.setdefault(digest, (reason, rule_name))
    return kept
