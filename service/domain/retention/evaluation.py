"""The evaluation of a state by a policy at one moment: a verdict for each tag, computed when it is needed."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from operator import attrgetter

from service.domain.policy.model import Keep, Policy, Rule
from service.domain.policy.units import spell_duration
from service.domain.retention.aside import Aside
from service.domain.retention.conditions import Place, RuleResult, result_of
from service.domain.retention.fixed_verdicts import UNDATED, FixedVerdicts
from service.domain.retention.leases import leased_verdict
from service.domain.retention.plan import NO_RULE, UNLISTED, Verdict
from service.domain.retention.ranking import newest_push_first
from service.domain.retention.revisions import ONE_PUSH_US, Revision, Revisions
from service.domain.retention.selection import Selections
from service.domain.retention.state import State, Tag, UnapprovedTags


class Evaluation:
    """The verdicts of a policy on the tags of one state at one moment.

    Results are computed when they are needed, so that one tag of ten thousand does not cost as much as all of them. The
    order of the calls does not change any result.
    """

    def __init__(
        self, state: State, policy: Policy, now_us: int, *, manual_only: bool = False, aside: Aside | None = None
    ) -> None:
        """Prepare the evaluation.

        Args:
            state: without the tags that are set aside.
            manual_only: True to delete nothing but manual deletions, and those that follow from them.
            aside: tags that are not decided again.
        """
        self.state, self.policy, self.now_us = state, policy, now_us
        self.whole = aside.whole if aside else state
        self._newest_aside_us = aside.newest_us if aside else 0
        self._manual_only = manual_only
        # (name, rule) of each rule that matches the repository.
        self.rules = policy.rules_for(state.repository)
        self.fixed = FixedVerdicts(state, policy, self.rules)
        self.selections = Selections(self.rules, self._undecided(), now_us, aside.places if aside else {})
        self._revisions = Revisions(state, self.selections, now_us)
        self._own: dict[str, Verdict] = {}
        self._keepers: dict[str, tuple[tuple[str, int | None], ...]] = {}

    @property
    def newest_us(self) -> int:
        """The time (µs) of the newest push whose time is known; 0 for none."""
        return max(self._newest_aside_us, self.state.newest_us)

    def at(self, now_us: int) -> "Evaluation":
        """Return the evaluation at another moment. Results that do not depend on time are shared."""
        # Compute the shared results before the copy, or each copy would compute them again.
        _ = self.holders, self._live, self._uncounted
        other = copy(self)
        other.now_us, other.selections = now_us, self.selections.at(now_us)
        other._revisions = self._revisions.at(other.selections, now_us)
        other._own, other._keepers = {}, {}
        # The verdict on a lost tag depends on time.
        other.__dict__.pop("_without_losses", None)
        return other

    @cached_property
    def newest_first(self) -> tuple[Tag, ...]:
        """The tags, the newest push first."""
        return tuple(sorted(self.state.tags, key=newest_push_first))

    @cached_property
    def to_decide(self) -> tuple[Tag, ...]:
        """The tags, the newest push first, without most of those that a rule keeps until another push."""
        kept = self.selections.kept_until_push(len(self.state.tags))
        return tuple(tag for tag in self.newest_first if tag.name not in kept)

    def _undecided(self) -> Iterator[Tag]:
        """Yield the tags that rules decide about, the newest push first."""
        yield from self.fixed.undecided(self.newest_first)

    @cached_property
    def holders(self) -> Mapping[str, tuple[Tag, ...]]:
        """Digest → the tags that point at it, sorted by name."""
        tags_of: dict[str, tuple[Tag, ...]] = {}
        for tag in self.state.tags:
            tags = tags_of.get(tag.digest)
            tags_of[tag.digest] = (tag,) if tags is None else (*tags, tag)
        for digest, tags in tags_of.items():
            if len(tags) > 1:
                tags_of[digest] = tuple(sorted(tags, key=attrgetter("name")))
        return tags_of

    def verdict(self, tag: Tag) -> Verdict:
        """Return the verdict on the tag."""
        # Safety rule 1: if a kept tag or revision needs the digest, only the tag is deleted.
        own = self.own_verdict(tag)
        if own.kept or own.kept_as:
            return own
        keepers = self._keepers_of(tag.digest)
        if not keepers and self.state.hides_tags:
            return replace(own, reason=f"{own.reason}; its image is kept: {UNLISTED} may use it", kept_as=UNLISTED)
        if not keepers:
            return own
        name, _ = keepers[0]
        kept = f"its {'manifest' if own.follows else 'image'} is kept as {name}"
        if self.policy.shared == "keep" and not own.manual:
            ends = [until_us for _, until_us in keepers]
            until_us = None if None in ends else max(end for end in ends if end is not None)
            return Verdict(tag, True, f"{kept} (shared: keep)", own.rule, until_us)
        return replace(own, reason=f"{own.reason}; {kept}", kept_as=name)

    def holding(self, digest: str) -> Iterator[tuple[str, Tag | None]]:
        """Yield (name for the reason, tag) of each tag that keeps the digest if it is kept itself.

        These are the tags that point at the digest, and the tags that have it as a revision. The tag is None if it does
        not exist at the moment: it may exist again, because only the deletion of a tag ends its revisions.
        """
        # With `shared: keep`, any of these tags keeps a tag. So they also keep the revisions of that tag: search on.
        names = {digest: ""}
        reached = [digest]
        for each in reached:
            yield from ((names[each] or tag.name, tag) for tag in self.holders.get(each, ()))
            for revision in self._revisions.of(each):
                name, tag = names[each] or f"a revision of {revision.tag}", self._live.get(revision.tag)
                if tag is None or self.policy.shared != "keep":
                    yield name, tag
                elif tag.digest not in names:
                    names[tag.digest] = name
                    reached.append(tag.digest)

    def revision(self, digest: str) -> Revision | None:
        """Return the revision as which the digest is kept; None if it is not kept as one."""
        for revision in self._revisions.of(digest):
            tag = self._live.get(revision.tag)
            if tag is None or self.verdict(tag).kept:
                return revision
        return None

    def _keepers_of(self, digest: str) -> tuple[tuple[str, int | None], ...]:
        """Return (name, kept until µs or None) of the tags and revisions that keep this digest."""
        if digest not in self._keepers:
            # A user asked to delete the manifest itself: then no revision keeps it.
            whole = digest in self.state.manual_deletions
            holding = ((tag.name, tag) for tag in self.holders[digest]) if whole else self.holding(digest)
            verdicts = ((name, self.own_verdict(tag) if tag else None) for name, tag in holding)
            self._keepers[digest] = tuple(
                (name, own.until_us if own else None) for name, own in verdicts if own is None or own.kept
            )
        return self._keepers[digest]

    def own_verdict(self, tag: Tag) -> Verdict:
        """Return the verdict that the tag would have if no other tag pointed at its digest."""
        if tag.name not in self._own:
            fixed = self.fixed_verdict(tag)
            leased = leased_verdict(self.state, tag, fixed.rule, self.now_us) if fixed and not fixed.kept else None
            own = self.kept_unless_manual(leased or fixed or self._evaluate(tag))
            self._own[tag.name] = self._undated_verdict(own) if own.reason == UNDATED else own
        return self._own[tag.name]

    def _undated_verdict(self, verdict: Verdict) -> Verdict:
        """Return the verdict on a tag without a push time, with the reason why no rule has decided about it yet."""
        tag = verdict.tag
        if next(self.selections.naming(tag.name), None) is None:
            return replace(verdict, reason=NO_RULE)
        if not self.awaits_date(tag):
            return replace(verdict, reason=f"{UNDATED}; no rule needs it yet")
        # The event of its push may still arrive. After that, its creation date is read and the rules decide.
        is_early = self.now_us < self.state.reports_until_us
        until_us = self.state.reports_until_us if is_early else verdict.until_us
        return replace(verdict, reason=f"{UNDATED}; creation date not read yet", until_us=until_us)

    def kept_unless_manual(self, verdict: Verdict) -> Verdict:
        """Return the verdict. While only manual deletions are planned, a verdict on any other deletion becomes keep."""
        if self._manual_only and not verdict.kept and not verdict.manual:
            return replace(verdict, kept=True, reason="manual deletions in this repository come first")
        return verdict

    def fixed_verdict(self, tag: Tag) -> Verdict | None:
        """Return the verdict that no rule can change, or None. Only a lease can postpone it. The tag takes no slot."""
        return self._lost_verdict(tag) if tag.name in self.state.lost else self.fixed.of(tag)

    def rule_results(self, tag: Tag) -> Iterator[RuleResult]:
        """Yield the results of the rules that select the tag, in their order; none if the verdict is fixed."""
        if self.fixed_verdict(tag) is not None:
            return
        for number, group in self.selections.selecting(tag):
            name, rule = self.selections.rules[number]
            yield result_of(name, rule, tag, self._place(number, rule, group, tag.digest), self.now_us)

    def _place(self, number: int, rule: Rule, group: str, digest: str) -> Place:
        keep = rule.keep if isinstance(rule.keep, Keep) else None
        return Place(
            group,
            self.selections.ranking(number, rule.order) if keep and keep.last is not None else None,
            self.selections.ranking(number, "pulled") if keep and keep.last_pulled is not None else None,
            self._uncounted.get((number, group, digest), "") if self._uncounted and rule.count == "digests" else "",
        )

    @cached_property
    def _uncounted(self) -> Mapping[tuple[int, str, str], str]:
        """(rule number, group, digest) → why a tag that the rule may count for the digest is not counted yet."""
        return {
            (number, group, tag.digest): reason
            for tag in self.state.tags
            if (reason := self.fixed.why_uncounted(tag))
            for number, group in self.selections.possible(tag.name)
        }

    def _lost_verdict(self, tag: Tag) -> Verdict:
        """Return the verdict that a lost tag would have if it existed at the registry."""
        # A lost tag takes no place: an existing image must not be deleted in favour of one that may never come back.
        verdict = self._without_losses.own_verdict(tag)
        return replace(verdict, reason=f"{verdict.reason}; it is missing at the registry and takes no place")

    @cached_property
    def _without_losses(self) -> "Evaluation":
        state = replace(self.state, lost=frozenset())
        return Evaluation(state, self.policy, self.now_us, manual_only=self._manual_only)

    def awaits_date(self, tag: Tag) -> bool:
        """True if a rule may delete the tag once its creation date was read."""
        if not self.fixed.awaits_push_time(tag):
            return False
        rules = [rule for _, rule in self.selections.naming(tag.name)]
        # A digest that a rule counts has the age of its newest tag, also if another rule keeps that tag.
        is_needed = len(self.holders[tag.digest]) > 1 or not _keeps_whatever_its_date(rules)
        return is_needed and any(map(self._may_delete, rules))

    def needs_approval(self, tag: Tag) -> bool:
        """True if the policy may delete the tag only after an operator has approved a plan. See `UnapprovedTags`."""
        return self._unapproved is not None and self._unapproved.covers(tag)

    @cached_property
    def _unapproved(self) -> UnapprovedTags | None:
        before = self.state.unapproved
        if before is None or not before.is_first:
            return before
        is_settled = before.settled_under == self.policy.fingerprint()
        return None if is_settled or self.policy.first_plan == "apply" else before

    def _may_delete(self, rule: Rule) -> bool:
        """True if the repository has enough images for the rule to delete any of them."""
        if not isinstance(rule.keep, Keep):
            return rule.keep != "always"
        counted = len(self.holders if rule.count == "digests" else self._live)
        return rule.keep.last is None or rule.keep.mode == "all" or counted > rule.keep.last

    @cached_property
    def _live(self) -> Mapping[str, Tag]:
        return {tag.name: tag for tag in self.newest_first}

    def _evaluate(self, tag: Tag) -> Verdict:
        against, keeping, uncertain = None, None, None
        for result in self.rule_results(tag):
            if result.keep and result.until_us is None:
                if result.unknown_age is None:
                    return Verdict(tag, True, result.reason, result.rule)
                uncertain = uncertain or result
            elif result.keep:
                keeping = keeping if keeping and _end(keeping) >= _end(result) else result
            else:
                against = against or result
        if uncertain:
            return Verdict(tag, True, uncertain.reason, uncertain.rule, unknown_age=uncertain.unknown_age)
        if keeping:
            return Verdict(tag, True, keeping.reason, keeping.rule, keeping.until_us)
        if against is None:
            return Verdict(tag, True, NO_RULE)
        return self._postponing_verdict(tag, against) or Verdict(tag, False, against.reason, against.rule)

    def _postponing_verdict(self, tag: Tag, against: RuleResult) -> Verdict | None:
        """Return the verdict that keeps a tag for now although a rule would delete it, or None."""
        pushed_us = tag.pushed_us or 0
        grace_us = pushed_us + self.policy.grace * 1_000_000
        if self.policy.grace and self.now_us < grace_us:
            age = f"pushed less than {spell_duration(self.policy.grace)} ago (grace)"
            return Verdict(tag, True, age, against.rule, grace_us, postponed=True)
        # Docker may be pushing the parts of an index under the tag: without them, the registry refuses the index.
        if pushed_us == self.newest_us and self.now_us < pushed_us + ONE_PUSH_US:
            reason = "the last push, less than 10m ago: it may be a part of an index"
            return Verdict(tag, True, reason, against.rule, pushed_us + ONE_PUSH_US, postponed=True)
        leased = leased_verdict(self.state, tag, against.rule, self.now_us)
        return replace(leased, postponed=True) if leased else None


def _keeps_whatever_its_date(rules: Iterable[Rule]) -> bool:
    """True if one of these rules, which select a tag by its name, keeps it at any age."""
    for rule in rules:
        if rule.keep == "always" and rule.group is None and not rule.older_than:
            return True
        # The rules after a final rule may not see the tag.
        if rule.final:
            return False
    return False


def _end(result: RuleResult) -> int:
    return result.until_us or 0
