"""zot: the retention example of its repository, verdict by verdict."""

from typing import Any

import pytest

from tests.importers import aged, gone, imported, policy_of, published, refused, rules_of, untagged_gone, used


def alone(*policies: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A retention section by itself."""
    return {"policies": list(policies), **more}


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("infra/dns", {"other", "v3.1"}),
        ("tmp/a/b", {"other", "v2.1", "v3.1", "x-prod"}),
        ("tmp", {"other", "v2.1", "v3.1", "x-prod"}),
        ("else/where", set()),
        ("a/infra", set()),
    ],
)
def test_the_published_example_is_translated(repository: str, expected: set[str]) -> None:
    made = imported("zot", published("zot-config"), None)
    tags = [
        aged("v2.1", 99), aged("x-prod", 99), aged("v3.0", 99, pulled_us=used(1)), aged("v3.1", 99), aged("other", 99),
    ]  # fmt: skip
    unpulled = [tag for tag in tags if tag.name != "v3.0"] if repository.startswith("tmp") else tags
    assert gone(made, *unpulled, repository=repository) == expected


def test_the_first_policy_that_matches_a_repository_decides_alone() -> None:
    made = imported(
        "zot",
        alone(
            {"repositories": ["shop/{api,web}"], "keepTags": [{"patterns": ["^keep"]}]},
            {"repositories": ["shop/*"], "keepTags": [{"mostRecentlyPushedCount": 1}]},
        ),
        None,
    )
    tags = [aged("new", 1), aged("old", 2), aged("keep", 3)]
    assert gone(made, *tags) == {"new", "old"}
    assert gone(made, *tags, repository="shop/else") == {"old", "keep"}


def test_without_entries_every_tag_is_kept_and_only_untagged_manifests_are_deleted() -> None:
    made = imported("zot", alone({"repositories": ["**"]}, delay="48h"), None)
    assert gone(made, aged("v1", 999)) == set()
    assert (untagged_gone(made, 3), untagged_gone(made, 1)) == (True, False)


def test_a_manifest_that_lost_a_tag_of_an_entry_is_deleted_too() -> None:
    made = imported("zot", alone({"repositories": ["**"], "keepTags": [{"patterns": ["^v"]}]}), None)
    assert [untagged_gone(made, 2, lost) for lost in ("v1", "x", "")] == [True, True, True]
    assert not untagged_gone(made, 0.5)


def test_untagged_manifests_may_be_kept() -> None:
    entries = [{"patterns": ["^v"]}]
    policy = {"repositories": ["**"], "deleteUntagged": False, "keepTags": entries}
    assert not untagged_gone(imported("zot", alone(policy), None), 99)


def test_referrers_are_kept_unless_they_are_to_be_deleted() -> None:
    for asked, expected in ((True, "follow"), (False, "keep")):
        made = imported("zot", alone({"repositories": ["**"], "deleteReferrers": asked}), None)
        assert [rule.referrers for rule in policy_of(made).rules] == [expected]


def test_a_dry_run_and_a_collector_that_is_off_delete_nothing() -> None:
    assert imported("zot", alone(dryRun=True), None).values["dry_run"] is True
    removed = imported("zot", {"storage": {"gc": False, "retention": alone()}}, None)
    assert removed.values["dry_run"] is True
    assert "`gc` is off in zot" in removed.text


def test_the_old_name_of_repositories_is_understood() -> None:
    assert rules_of(imported("zot", alone({"repoNames": ["infra/*"]}), None))[0]["repos"] == ["infra/*"]


def test_a_pattern_never_becomes_a_negation() -> None:
    made = imported("zot", alone({"repositories": ["!x", "re:y"], "keepTags": [{"patterns": ["a"]}]}), None)
    assert rules_of(made)[0]["repos"] == ["\\!x", "\\re:y"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "this is empty"),
        ('{"policies": [], "policies": []}', "policies is already on line 1; keep one of them"),
        ({"storage": {}}, "storage: there is no storage.retention in it"),
        ([], "there is no storage.retention in it"),
        (alone({"repositories": "**"}), "policies[0].repositories: must be a list"),
        (alone({"keepTagz": []}), "policies[0].keepTagz: pushprune does not know `keepTagz` here"),
        (alone(delay="soon"), "delay: 'soon' is no duration"),
        (
            alone({"repositories": ["**"], "keepTags": [{"patterns": ["(?=x)"]}]}),
            "policies[0].keepTags[0].patterns[0]: '(?=x)' is no expression",
        ),
        (alone({"repositories": ["**"], "keepTags": [{"mostRecentlyPushedCount": -1}]}), "must be at least 0"),
        (alone({"repositories": ["**"], "keepTags": [{"mostRecentlyPulledCount": 10**30}]}), "must be at most"),
        (alone({"repositories": ["**"], "keepTags": [{"pushedWithin": "9999999999h"}]}), "more than 100 years"),
        (alone({"repositories": ["{a,b}" * 9]}), "expands to more than 64 patterns"),
        (alone(*[{}] * 300), "policies: must hold at most 200"),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("zot", values, None)


def test_a_refusal_names_the_line() -> None:
    text = '{\n  "policies": [\n    {"repositories": ["a"]},\n    {"repositories": [7]}\n  ]\n}'
    assert (
        refused("zot", text, None) == "given.json, line 4: policies[1].repositories[0]: must be text: put it in quotes"
    )
