"""The example policies of the manual do what they say, verdict by verdict."""

import re

from service.domain.policy.model import Policy
from service.domain.retention.state import Tag
from tests.support import manual
from tests.support.makers import NOW_S, old, planned, policy, us

_EXAMPLE = re.compile(r"<!-- example: (?P<name>[a-z-]+) -->\s*```yaml\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

_EXAMPLES = {item["name"]: item["text"] for text in manual.pages().values() for item in _EXAMPLE.finditer(text)}


def example(name: str) -> Policy:
    """The policy of the manual's example of this name."""
    return policy(_EXAMPLES[name])


def decide(name: str, *tags: Tag) -> dict[str, tuple[bool, str]]:
    decided = planned(tags, example(name), us(NOW_S))
    return {verdict.tag.name: (verdict.kept, verdict.reason) for verdict in decided.verdicts}


def test_the_last_ten_and_a_latest_whose_image_is_kept_without_its_old_tag() -> None:
    builds = [old(f"b{number}", number) for number in range(1, 13)]
    result = decide("last-ten", *builds, old("b99", 99, "shared"), old("latest", 0, "shared"))
    assert result == {
        "latest": (True, "protected by the policy"),
        **{f"b{number}": (True, f"number {number} of the newest 10 (rule newest)") for number in range(1, 11)},
        "b11": (False, "older than the newest 10 (rule newest)"),
        "b12": (False, "older than the newest 10 (rule newest)"),
        "b99": (False, "older than the newest 10 (rule newest); its image is kept as latest"),
    }


def test_two_of_each_branch_and_one_of_each_pull_request_for_a_fortnight() -> None:
    result = decide(
        "branches-and-pull-requests",
        old("main-0000001", 30), old("main-0000002", 20), old("main-0000003", 10), old("fix-login-000000a", 90),
        old("pr-7-0000004", 3), old("pr-7-0000005", 2), old("pr-8-0000006", 14), old("pr-9-0000007", 13),
        old("pr-x", 99), old("v1", 199),
    )  # fmt: skip
    assert result == {
        "main-0000003": (True, "number 1 of the newest 2 in group main (rule branches)"),
        "main-0000002": (True, "number 2 of the newest 2 in group main (rule branches)"),
        "main-0000001": (False, "older than the newest 2 in group main (rule branches)"),
        "fix-login-000000a": (True, "number 1 of the newest 2 in group fix-login (rule branches)"),
        "pr-7-0000005": (True, "the newest in group pr-7 and pushed within 14d (rule pull requests)"),
        "pr-7-0000004": (False, "older than the newest in group pr-7 (rule pull requests)"),
        "pr-8-0000006": (False, "not pushed within 14d (rule pull requests)"),
        "pr-9-0000007": (True, "the newest in group pr-9 and pushed within 14d (rule pull requests)"),
        "pr-x": (True, "no rule selects it"),
        "v1": (True, "no rule selects it"),
    }


def test_the_newest_two_patches_of_each_minor_and_what_was_pulled_lately() -> None:
    result = decide(
        "patches-per-minor",
        old("v1.4.9", 50), old("v1.4.10", 60), old("v1.4.8", 40), old("v1.4.2", 100, pulled=29), old("1.3.0", 150),
        old("v1.4.7", 90, pulled=30), old("v1.4.1", 29), old("v2.0.0-rc.1", 199), old("latest", 198),
    )  # fmt: skip
    assert result == {
        "v1.4.10": (True, "number 1 of the highest 2 versions in group 1.4 (rule releases)"),
        "v1.4.9": (True, "number 2 of the highest 2 versions in group 1.4 (rule releases)"),
        "v1.4.8": (False, "below the highest 2 versions in group 1.4 and not pulled within 30d (rule releases)"),
        "v1.4.7": (False, "below the highest 2 versions in group 1.4 and not pulled within 30d (rule releases)"),
        "v1.4.2": (True, "pulled within 30d (rule releases)"),
        "v1.4.1": (True, "pushed within 30d, which counts as a pull (rule releases)"),
        "1.3.0": (True, "number 1 of the highest 2 versions in group 1.3 (rule releases)"),
        "v2.0.0-rc.1": (True, "no rule selects it"),
        "latest": (True, "protected by the policy"),
    }


def test_a_policy_by_age_keeps_at_least_one_image() -> None:
    assert decide("by-age", old("a", 89), old("b", 90), old("c", 91)) == {
        "a": (True, "the newest (rule by age)"),
        "b": (False, "older than the newest and not pushed within 90d (rule by age)"),
        "c": (False, "older than the newest and not pushed within 90d (rule by age)"),
    }
    assert decide("by-age", old("b", 90), old("c", 91)) == {
        "b": (True, "the newest (rule by age)"),
        "c": (False, "older than the newest and not pushed within 90d (rule by age)"),
    }
    assert decide("by-age", old("a", 1), old("b", 2))["b"] == (True, "pushed within 90d (rule by age)")


def test_both_limits_of_quay_at_once() -> None:
    young = [old(f"b{number}", number) for number in range(1, 23)]
    result = decide("number-and-age", *young)
    assert result["b20"] == (True, "number 20 of the newest 20 and pushed within 30d (rule number and age)")
    assert result["b21"] == (False, "older than the newest 20 (rule number and age)")
    assert decide("number-and-age", old("a", 29), old("b", 30), old("c", 31)) == {
        "a": (True, "number 1 of the newest 20 and pushed within 30d (rule number and age)"),
        "b": (False, "not pushed within 30d (rule number and age)"),
        "c": (False, "not pushed within 30d (rule number and age)"),
    }


def test_every_example_protects_latest() -> None:
    assert len(_EXAMPLES) == 5
    assert [name for name in _EXAMPLES if not example(name).protects("latest")] == []
