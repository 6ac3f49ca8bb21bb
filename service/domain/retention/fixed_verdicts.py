"""The verdicts that no rule of a policy can change: on protected tags, parts, referrers and manual deletions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from service.domain.oci import tombstone
from service.domain.policy.model import Policy, Rule
from service.domain.policy.patterns import compile_patterns
from service.domain.retention.manual import manual_reason
from service.domain.retention.plan import PROTECTED, Verdict
from service.domain.retention.state import REFERRER_PREFIX, ManualDeletion, State, Tag, subject_of

UNDATED = "push time unknown (imported)"


class FixedVerdicts:
    """The verdicts on the tags of one state that no rule can change. They do not depend on the time.

    The verdict on a lost tag depends on the rules, and is not decided here.
    """

    def __init__(self, state: State, policy: Policy, rules: tuple[tuple[str, Rule], ...]) -> None:
        """Prepare the verdicts. rules: (name, rule) of each rule that matches the repository."""
        self._state, self._policy, self._rules = state, policy, rules
        self._verdicts: dict[str, Verdict | None] = {}

    def of(self, tag: Tag) -> Verdict | None:
        """Return the verdict that no rule can change, or None. Only a lease can postpone it. The tag takes no slot."""
        if tag.name not in self._verdicts:
            self._verdicts[tag.name] = self._of(tag)
        return self._verdicts[tag.name]

    def _of(self, tag: Tag) -> Verdict | None:
        """Return the verdict that no rule can change, or None.

        A part of an index is kept until the index is really deleted, even if this plan deletes the index. The next plan
        deletes the part.
        """
        request = self.manual_deletion(tag)
        if self._policy.protects(tag.name) and not (request and request.force):
            return Verdict(tag, True, PROTECTED)
        bound = self.bound(tag)
        if request and (bound is None or tag.digest in self.parents):
            return self._manual_verdict(tag, request) or bound
        if bound is None and tag.pushed_us is None:
            return Verdict(tag, True, UNDATED)
        return bound

    def undecided(self, tags: Iterable[Tag]) -> Iterator[Tag]:
        """Yield those of these tags that rules decide about, in the same order."""
        links = self._state.links.items()
        bound = {digest for digest, known in links if known and (known.subject or not known.readable)}
        bound.update(self.parents)
        protects = compile_patterns(self._policy.protect) if self._policy.protect else None
        for tag in tags:
            name = tag.name
            # Most tags can have no fixed verdict: these conditions show that without one look at the verdict.
            may_be_fixed = (
                tag.pushed_us is None
                or tag.digest in bound
                or name in self._state.manual_deletions
                or name.startswith(REFERRER_PREFIX)
                or (protects is not None and protects(name))
            )
            if name not in self._state.lost and (not may_be_fixed or self.of(tag) is None):
                yield tag

    def awaits_push_time(self, tag: Tag) -> bool:
        """True if a rule could decide about the tag once its push time is known."""
        return tag.pushed_us is None and not self._policy.protects(tag.name) and self.bound(tag) is None

    def why_uncounted(self, tag: Tag) -> str:
        """Return why rules do not count a tag yet that they may count later; "" for every other tag."""
        is_missing = tag.name in self._state.lost
        if self.awaits_push_time(replace(tag, pushed_us=None) if is_missing else tag):
            why = "it is missing at the registry" if is_missing else "its push time is unknown"
            return f"tag {tag.name} has the same image, and {why}"
        return ""

    def manual_deletion(self, tag: Tag) -> ManualDeletion | None:
        """Return the manual deletion of the tag, or of the manifest if it has no tag; None if there is none."""
        request = self._state.manual_deletions.get(tag.name or tag.digest)
        # A tag that points at another digest now is not the image that the user asked to delete.
        if request is None or request.digest != tag.digest or (self._policy.dry_run and not request.force):
            return None
        return request

    def _manual_verdict(self, tag: Tag, request: ManualDeletion) -> Verdict | None:
        """Return the verdict on a manual deletion; None if the tag cannot be deleted manually.

        Referrers and unreadable manifests cannot. If an index needs the image, only the tag is deleted.
        """
        known = self._state.links.get(tag.digest)
        if (known and not known.readable) or subject_of(tag.name, known):
            return None
        index = self.parents.get(tag.digest)
        kept_as = f"part of the index {index}" if index else ""
        reason = manual_reason(request) + (f"; its image is kept as {kept_as}" if kept_as else "")
        return Verdict(tag, False, reason, kept_as=kept_as, manual=True, by=request.by)

    def bound(self, tag: Tag) -> Verdict | None:
        """Return the verdict on a part of an index, a referrer, or an unreadable manifest; None for all other tags."""
        known = self._state.links.get(tag.digest)
        if known and not known.readable:
            return Verdict(tag, True, "its manifest cannot be read, so its layers and parts are unknown")
        if tag.digest in self.parents:
            return Verdict(tag, True, f"it is part of the index {self.parents[tag.digest]}")
        subject = subject_of(tag.name, known)
        return self._referrer_verdict(tag, subject) if subject else None

    def _referrer_verdict(self, tag: Tag, subject: str) -> Verdict:
        """Return the verdict on a referrer of `subject`.

        A referrer is deleted after its image was deleted, unless a rule of the repository keeps referrers.
        """
        keeping = next((name for name, rule in self._rules if rule.referrers == "keep"), None)
        # The subject of a referrer is a tombstone if the client resolved the tag during its deletion.
        was_deleted = subject in self._state.deleted or subject in tombstone.DIGESTS
        manual = subject in self._state.manual_deleted
        if not was_deleted or self.exists(subject) or not (self._rules or manual):
            return Verdict(tag, True, f"it belongs to {subject} and is deleted only after it")
        if keeping:
            return Verdict(tag, True, f"its image was deleted, and rule {keeping} keeps referrers", keeping)
        reason = f"its image {subject} was deleted"
        return Verdict(tag, False, reason, self.first_rule, follows=True, after=subject, manual=manual)

    @property
    def first_rule(self) -> str | None:
        """The rule to name for deletions of parts and referrers; None if no rule matches the repository."""
        return self._rules[0][0] if self._rules else None

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """Digest of a part → an index that lists it."""
        return {child: index for index, known in sorted(self._state.links.items()) if known for child in known.children}

    def exists(self, digest: str) -> bool:
        """True if the digest is known to exist: with a tag, as part of an index, or without either."""
        return digest in self._digests or digest in self.parents

    @cached_property
    def _digests(self) -> frozenset[str]:
        return frozenset(tag.digest for tag in self._state.tags) | {known.digest for known in self._state.untagged}
