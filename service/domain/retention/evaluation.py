"""A state weighed by a policy at one moment: each tag's verdict, made when it is asked for."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

from service.domain.oci import tombstone
from service.domain.policy.model import Keep, Policy, Rule
from service.domain.policy.units import spell_duration
from service.domain.retention.conditions import Opinion, Place, opinion_of
from service.domain.retention.manual import by_hand
from service.domain.retention.plan import UNLISTED, Verdict
from service.domain.retention.ranking import newest_push_first
from service.domain.retention.selection import Selections
from service.domain.retention.state import Asked, State, Tag, subject_of


@dataclass(frozen=True, slots=True)
class Revision:
    """An overwritten digest that a rule keeps while its tag stays: of which tag, why, and by which rule."""

    tag: str
    reason: str
    rule: str


class Weighing:
    """What every rule says of every tag of one state. Nothing is changed by asking, whatever the order.

    Only what is asked for is worked out: one tag of ten thousand does not cost what all of them do.
    """

    def __init__(self, state: State, policy: Policy, now_us: int, *, only_asked: bool = False) -> None:
        """only_asked: nothing goes but what somebody asked for, and what follows that."""
        self.state, self.policy, self.now_us = state, policy, now_us
        self._only_asked = only_asked
        self._fixed: dict[str, Verdict | None] = {}
        free = (tag for tag in self.newest_first if self.fixed_verdict(tag) is None)
        self.selections = Selections(self.rules, free, now_us)
        self._own: dict[str, Verdict] = {}
        self._keepers: dict[str, tuple[tuple[str, int | None], ...]] = {}

    def at(self, now_us: int) -> "Weighing":
        """The same at another moment. What no time changes is worked out once for all of them."""
        _ = self.holders, self._live, self._overwritten
        other = copy(self)
        other.now_us, other.selections = now_us, self.selections.at(now_us)
        other._own, other._keepers = {}, {}
        if self.state.lost:
            other._fixed = {}
            other.__dict__.pop("_without_losses", None)
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
        """What happens to the tag. Safety rule 1: where a kept tag or revision holds its digest, only the tag goes."""
        own = self.own_verdict(tag)
        if own.kept or own.stays_as:
            return own
        keepers = self._keepers_of(tag.digest)
        if not keepers and self.state.hides_tags:
            return replace(own, reason=f"{own.reason}; its image stays: {UNLISTED} may use it", stays_as=UNLISTED)
        if not keepers:
            return own
        name, _ = keepers[0]
        stays = f"its {'manifest' if own.follows else 'image'} stays as {name}"
        if self.policy.shared == "keep" and not own.by_hand:
            ends = [until_us for _, until_us in keepers]
            until_us = None if None in ends else max(end for end in ends if end is not None)
            return Verdict(tag, True, f"{stays} (shared: keep)", own.rule, until_us)
        return replace(own, reason=f"{own.reason}; {stays}", stays_as=name)

    def holding(self, digest: str) -> Iterator[tuple[str, Tag | None]]:
        """(by what name, the tag) of each tag that holds the digest where it stays itself; None: it is not seen.

        These are the tags that stand there, and those of which a rule keeps it as a revision: such a tag that is not
        seen at the moment may be back, and only one that goes takes its past along. With `shared: keep` a tag stays
        because of any of these, and so holds its own past as long as they do.
        """
        names = {digest: ""}
        reached = [digest]
        for each in reached:
            yield from ((names[each] or tag.name, tag) for tag in self.holders.get(each, ()))
            for revision in self._revisions(each):
                name, tag = names[each] or f"a revision of {revision.tag}", self._live.get(revision.tag)
                if tag is None or self.policy.shared != "keep":
                    yield name, tag
                elif tag.digest not in names:
                    names[tag.digest] = name
                    reached.append(tag.digest)

    def revision(self, digest: str) -> Revision | None:
        """Why the digest is kept as a revision of a tag; None where it is not."""
        for revision in self._revisions(digest):
            tag = self._live.get(revision.tag)
            if tag is None or self.verdict(tag).kept:
                return revision
        return None

    def _keepers_of(self, digest: str) -> tuple[tuple[str, int | None], ...]:
        """By what name the digest of a tag that goes is kept, each with the end of that; nothing where it is not."""
        if digest not in self._keepers:
            whole = digest in self.state.asked  # somebody wants it gone: then it is no revision that is kept
            holding = ((tag.name, tag) for tag in self.holders[digest]) if whole else self.holding(digest)
            found = ((name, self.own_verdict(tag) if tag else None) for name, tag in holding)
            self._keepers[digest] = tuple(
                (name, own.until_us if own else None) for name, own in found if own is None or own.kept
            )
        return self._keepers[digest]

    def own_verdict(self, tag: Tag) -> Verdict:
        """What would happen to the tag if no other tag held its digest."""
        if tag.name not in self._own:
            fixed = self.fixed_verdict(tag)
            leased = self.leased_verdict(tag, fixed.rule) if fixed and not fixed.kept else None
            own = self.in_turn(leased or fixed or self._weigh(tag))
            if self.now_us < self.state.told_us and self.awaits_date(tag):
                own = replace(own, until_us=self.state.told_us)
            self._own[tag.name] = own
        return self._own[tag.name]

    def in_turn(self, verdict: Verdict) -> Verdict:
        """The same, kept where only what somebody asked for has its turn."""
        if self._only_asked and not verdict.kept and not verdict.by_hand:
            return replace(verdict, kept=True, reason="first what was asked for by hand goes")
        return verdict

    def asked(self, tag: Tag) -> Asked | None:
        """Who wants the tag gone, or the manifest where it has no tag; None where nobody does.

        A tag that stands elsewhere by now is not what was asked for.
        """
        asked = self.state.asked.get(tag.name or tag.digest)
        if asked is None or asked.digest != tag.digest or (self.policy.dry_run and not asked.force):
            return None
        return asked

    def fixed_verdict(self, tag: Tag) -> Verdict | None:
        """The verdict that no rule can change, if there is one, and only a lease puts off: the tag takes no slot."""
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
        if tag.name in self.state.lost:
            return self._lost_verdict(tag)
        asked = self.asked(tag)
        if self.policy.protects(tag.name) and not (asked and asked.force):
            return Verdict(tag, True, "protected by the policy")
        bound = self.bound_verdict(tag)
        if asked and (bound is None or tag.digest in self.parents):
            return self._by_hand(tag, asked) or bound
        if bound is None and tag.pushed_us is None:
            return Verdict(tag, True, "push time unknown (imported); creation date not read yet")
        return bound

    def _lost_verdict(self, tag: Tag) -> Verdict:
        """The verdict that the tag would have if it existed at the registry.

        It takes no place: an image that exists must not be deleted in favour of an image that may be lost for good.
        """
        verdict = self._without_losses.own_verdict(tag)
        return replace(verdict, reason=f"{verdict.reason}; it is missing at the registry and takes no place")

    @cached_property
    def _without_losses(self) -> "Weighing":
        state = replace(self.state, lost=frozenset())
        return Weighing(state, self.policy, self.now_us, only_asked=self._only_asked)

    def is_unseen(self, tag: Tag) -> bool:
        """Whether a rule could say something of the tag if it were known when it was pushed."""
        return tag.pushed_us is None and not self.policy.protects(tag.name) and self.bound_verdict(tag) is None

    def awaits_date(self, tag: Tag) -> bool:
        """Return True if a rule may delete the tag once its creation date was read."""
        if not self.is_unseen(tag):
            return False
        rules = [rule for _, rule in self.selections.naming(tag.name)]
        return not _keeps_whatever_its_date(rules) and any(map(self._may_delete, rules))

    def needs_approval(self, tag: Tag) -> bool:
        """Return True if the tag was there before, and the policy may not delete it before somebody approved a plan."""
        before = self.state.unapproved
        if before is None or (before.is_first and self.policy.first_plan == "apply"):
            return False
        return before.covers(tag)

    def _may_delete(self, rule: Rule) -> bool:
        """Return True if there is enough in the repository for the rule to delete any of it."""
        if not isinstance(rule.keep, Keep):
            return rule.keep != "always"
        counted = len(self.holders if rule.count == "digests" else self._live)
        return rule.keep.last is None or rule.keep.mode == "all" or counted > rule.keep.last

    def _by_hand(self, tag: Tag, asked: Asked) -> Verdict | None:
        """A tag goes alone where an index holds its image; None where nobody may take it by hand."""
        known = self.state.links.get(tag.digest)
        if (known and not known.readable) or subject_of(tag.name, known):
            return None
        index = self.parents.get(tag.digest)
        stays = f"part of the index {index}" if index else ""
        reason = by_hand(asked) + (f"; its image stays as {stays}" if stays else "")
        return Verdict(tag, False, reason, stays_as=stays, by_hand=True, by=asked.by)

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
        """A referrer goes once its image was seen to go, and no rule of the repository says that referrers stay.

        One that names our tombstone was made while that stood in for the image under a tag.
        """
        keeping = next((name for name, rule in self.rules if rule.referrers == "keep"), None)
        was_seen_to_go = subject in self.state.deleted or subject == tombstone.DIGEST
        by_hand = subject in self.state.by_hand
        if not was_seen_to_go or self.stands(subject) or not (self.rules or by_hand):
            return Verdict(tag, True, f"it belongs to {subject} and follows it")
        if keeping:
            return Verdict(tag, True, f"its image is gone, and rule {keeping} keeps referrers", keeping)
        reason = f"its image {subject} is gone"
        return Verdict(tag, False, reason, self.first_rule, follows=True, after=subject, by_hand=by_hand)

    def stands(self, digest: str) -> bool:
        """Whether the digest is known to be there: with a tag, as part of an index, or without either."""
        return digest in self.holders or digest in self.parents or digest in self._untagged

    @cached_property
    def _untagged(self) -> frozenset[str]:
        return frozenset(untagged.digest for untagged in self.state.untagged)

    @cached_property
    def _live(self) -> Mapping[str, Tag]:
        return {tag.name: tag for tag in self.newest_first}

    @cached_property
    def _overwritten(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """digest → (tag, its number among the digests that this tag has left, from 1), by name of the tag."""
        if not any(isinstance(rule.keep, Keep) and rule.keep.revisions for _, rule in self.rules):
            return {}
        left: dict[str, list[tuple[str, int]]] = {}
        for name, digests in sorted(self.state.revisions.items()):
            for number, digest in enumerate(digests, 1):
                left.setdefault(digest, []).append((name, number))
        return {digest: tuple(numbers) for digest, numbers in left.items()}

    def _revisions(self, digest: str) -> Iterator[Revision]:
        """For each tag of whose revisions a rule keeps the digest, as long as that tag stays: by which rule."""
        for name, number in self._overwritten.get(digest, ()):
            for rule_name, rule in self.selections.naming(name):
                most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
                if number <= most:
                    reason = f"number {number} of the last {most} revisions of {name} (rule {rule_name})"
                    yield Revision(name, reason, rule_name)
                    break

    @cached_property
    def rules(self) -> tuple[tuple[str, Rule], ...]:
        """(name, rule) of each rule that matches the repository."""
        return self.policy.rules_for(self.state.repository)

    @property
    def first_rule(self) -> str | None:
        """The rule that what follows an image goes by."""
        return self.rules[0][0] if self.rules else None

    def leased_verdict(self, tag: Tag, rule: str | None) -> Verdict | None:
        """The verdict on what somebody says is in use and `rule` would delete; None where nobody does."""
        leased_us = self.leased_us(tag.digest)
        if self.now_us >= leased_us:
            return None
        in_use = self.now_us < self._held_us(self.state.leased, tag.digest)
        reason = "somebody says that it is in use (lease)" if in_use else "restored, and kept for a while (lease)"
        return Verdict(tag, True, reason, rule, leased_us)

    def leased_us(self, digest: str) -> int:
        """Return until when (µs) the manifest is leased. A lease of a part, at any depth, is a lease of its index."""
        return max(self._held_us(self.state.leased, digest), self._held_us(self.state.restored, digest))

    def _held_us(self, leases: Mapping[str, int], digest: str) -> int:
        return max(leases.get(held, 0) for held in self.state.closure(digest)) if leases else 0

    def _weigh(self, tag: Tag) -> Verdict:
        against, keeping, doubted = None, None, None
        for opinion in self.opinions(tag):
            if opinion.keep and opinion.until_us is None:
                if opinion.doubt is None:
                    return Verdict(tag, True, opinion.reason, opinion.rule)
                doubted = doubted or opinion
            elif opinion.keep:
                keeping = keeping if keeping and _end(keeping) >= _end(opinion) else opinion
            else:
                against = against or opinion
        if doubted:
            return Verdict(tag, True, doubted.reason, doubted.rule, doubt=doubted.doubt)
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
        return self.leased_verdict(tag, against.rule)


def _keeps_whatever_its_date(rules: Iterable[Rule]) -> bool:
    """Return True if one of these rules, which select a tag by its name, keeps it whenever it was pushed."""
    for rule in rules:
        if rule.keep == "always" and rule.group is None and not rule.older_than:
            return True
        if rule.final:
            return False  # the rules after it may not see the tag
    return False


def _end(opinion: Opinion) -> int:
    return opinion.until_us or 0
