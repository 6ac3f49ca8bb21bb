"""Amazon ECR's lifecycle policy: the policy itself, or the output of `aws ecr get-lifecycle-policy`.

Rules apply from the lowest priority number up. An image that one rule matches is not touched by later rules, so each
rule becomes `final`.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from service.documents.reader import parse
from service.domain.errors import ConfigurationError
from service.importers.parts import MOST_RULES, Count, PolicyEnvelope, PolicyPart, checked
from service.importers.pattern import starting, wildcards, within
from service.importers.period import DAY_S, bounded
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_PLACE = "a lifecycle policy belongs to one repository: run this with --within REPOSITORY, or name it below."
_UNTAGGED = "differs: the age of an untagged image counts from the loss of its last tag, not from its push."
_COUNTED = (
    "differs: ECR counts the images that earlier rules matched, and untagged ones, among the newest {}; here they"
    " are not counted, so that more are kept."
)


class _Selection(PolicyPart):
    tag_status: Literal["tagged", "untagged", "any"]
    tag_prefix_list: tuple[str, ...] = ()
    tag_pattern_list: tuple[str, ...] = ()
    count_type: Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]
    count_unit: Literal["days"] | None = None
    count_number: Count
    storage_class: str | None = None

    @model_validator(mode="after")
    def _as_ecr_checks_it(self) -> Self:
        if (self.tag_status == "tagged") != bool(self.tag_pattern_list or self.tag_prefix_list):
            raise ValueError("tagged needs tagPatternList or tagPrefixList, and nothing else may have one")
        if self.count_type != "imageCountMoreThan":
            if self.count_unit is None:
                raise ValueError("countUnit must be days")
            bounded(self.days_s, f"{self.count_number} days")
        return self

    @property
    def days_s(self) -> int:
        return self.count_number * DAY_S


class _Action(PolicyPart):
    type: Literal["expire", "transition"]
    target_storage_class: str | None = None


class _EcrRule(PolicyPart):
    rule_priority: int
    description: str | None = None
    selection: _Selection
    action: _Action

    @property
    def title(self) -> str:
        return self.description or f"rule {self.rule_priority}"

    @property
    def is_for_the_archive(self) -> bool:
        return self.selection.storage_class not in (None, "standard")

    @property
    def patterns(self) -> tuple[str, ...]:
        prefixes = (starting(prefix) for prefix in self.selection.tag_prefix_list)
        return (*prefixes, *(wildcards(pattern) for pattern in self.selection.tag_pattern_list))


class _EcrPolicy(PolicyPart):
    rules: tuple[_EcrRule, ...] = Field(max_length=MOST_RULES)


class _Printed(PolicyEnvelope):
    repository_name: str | None = None
    lifecycle_policy_text: str


def read_document(document: Any, place: str | None) -> Translation:
    """Translate the rules in the order of their priority."""
    if isinstance(document, dict) and "lifecyclePolicyText" in document:
        printed = checked(_Printed, document)
        place = printed.repository_name if place is None else place
        try:
            document = parse(printed.lifecycle_policy_text, "in it").values
        except ConfigurationError as error:
            raise NotImportable(str(error), ("lifecyclePolicyText",)) from error
    policy = checked(_EcrPolicy, document)
    rules = sorted(policy.rules, key=lambda rule: rule.rule_priority)
    twice = next((rule for rule, other in pairwise(rules) if rule.rule_priority == other.rule_priority), None)
    if twice:
        raise NotImportable(f"two rules have the priority {twice.rule_priority}; give each its own")
    repos = within(place, itself=True, below=False)
    return translation("ECR", _rules(rules, repos), [*([_PLACE] if place is None else []), *_left_out(rules)])


def _rules(rules: Sequence[_EcrRule], repos: tuple[str, ...]) -> Iterator[ImportedRule]:
    # Every rule gets the same `untagged`: rules after a final one do not see its tags, so they could not decide.
    untagged = _untagged(rules)
    made = [
        imported_rule(rule.title, repos=repos, tags=rule.patterns, keep=_keep(rule), untagged=untagged, final=True,
                      notes=_notes(rule, is_first=rule is rules[0]))
        for rule in rules
        if rule.selection.tag_status != "untagged" and not rule.is_for_the_archive
    ]  # fmt: skip
    yield from made
    if untagged is not None and not any(rule.selects_every_tag for rule in made):
        yield imported_rule("untagged", repos=repos, keep="always", untagged=untagged)


def _keep(rule: _EcrRule) -> Any:
    selection = rule.selection
    if _no_equivalent(rule):
        return "always"
    if selection.count_type == "imageCountMoreThan":
        return keep_of(selection.count_number)
    is_pull = selection.count_type == "sinceImagePulled"
    return keep_of(pulled_within=selection.days_s) if is_pull else keep_of(pushed_within=selection.days_s)


def _notes(rule: _EcrRule, *, is_first: bool) -> Iterator[str]:
    reason = _no_equivalent(rule)
    if reason:
        yield reason
    elif rule.selection.count_type == "imageCountMoreThan" and not (is_first and rule.patterns):
        yield _COUNTED.format(rule.selection.count_number)


def _no_equivalent(rule: _EcrRule) -> str | None:
    """Return why pushprune keeps all images of a rule, or None if it need not."""
    if rule.action.type != "expire":
        return "no equivalent: there is no archive to move images to; the images of this rule are kept."
    if rule.selection.count_type == "sinceImageTransitioned":
        return "no equivalent: nothing here is ever archived; the images of this rule are kept."
    if len(rule.patterns) > 1:
        return (
            "no equivalent: ECR selects an image only when its tags match all of these patterns together; here each tag"
            " is matched alone, so the tags of this rule are kept. If you meant any of the patterns, set what to keep."
        )
    return None


def _untagged(rules: Sequence[_EcrRule]) -> int | None:
    """Return for how long untagged images are kept, in seconds; None = for ever."""
    # The first rule about untagged images decides.
    first = _first_on_untagged(rules)
    if first is None or first.action.type != "expire" or first.selection.count_type != "sinceImagePushed":
        return None
    return first.selection.days_s


def _first_on_untagged(rules: Sequence[_EcrRule]) -> _EcrRule | None:
    return next((rule for rule in rules if rule.selection.tag_status != "tagged" and not rule.is_for_the_archive), None)


def _left_out(rules: Sequence[_EcrRule]) -> Iterator[str]:
    first = _first_on_untagged(rules)
    if _untagged(rules) is not None:
        yield _UNTAGGED
    elif first is not None:
        yield (
            f"no equivalent: what {first.title!r} does with untagged images; they are kept. Give a rule"
            " `untagged: 24h`, say, to delete them by age."
        )
    for rule in rules:
        if rule.is_for_the_archive:
            yield f"no equivalent: {rule.title!r} is for archived images, which do not exist here; it is left out."
