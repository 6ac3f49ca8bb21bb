"""Google Artifact Registry: the example of its Terraform provider, and the result for each kind of policy."""

from typing import Any

import pytest

from tests.importers import aged, gone, imported, published, refused, rules_of, untagged_gone


def delete(**condition: Any) -> dict[str, Any]:
    return {"name": "delete", "action": {"type": "Delete"}, "condition": condition}


def keep(**condition: Any) -> dict[str, Any]:
    return {"name": "keep", "action": {"type": "Keep"}, "condition": condition}


def recent(count: int, *packages: str) -> dict[str, Any]:
    versions: dict[str, Any] = {"keepCount": count}
    if packages:
        versions["packageNamePrefixes"] = list(packages)
    return {"name": "recent", "action": {"type": "Keep"}, "mostRecentVersions": versions}


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("shop/webapp", {"v0.6"}),
        ("shop/webapp-two/part", {"v0.6"}),
        ("shop/else", {"alpha1", "v0.1", "v0.2", "v0.3", "v0.4", "v0.5", "v0.6"}),
        ("other/else", set()),
    ],
)
def test_the_published_example_is_translated(repository: str, expected: set[str]) -> None:
    made = imported("gcp", published("gcp-policies"))
    tags = [
        *(aged(f"v0.{number}", 40 + number) for number in range(1, 7)), aged("alpha1", 41.5), aged("v0.9", 29),
        aged("v1", 99), aged("release1", 99),
    ]  # fmt: skip
    if "webapp" in repository:
        tags = [tag for tag in tags if tag.name not in ("alpha1", "v0.9")]
    assert gone(made, *tags, repository=repository) == expected


def test_keep_alone_deletes_nothing() -> None:
    made = imported("gcp", [recent(1), keep(tagState="any")])
    assert rules_of(made) == []
    assert "a Keep policy alone deletes nothing" in made.text


def test_keep_wins_over_delete_for_all_tags_of_a_version() -> None:
    made = imported("gcp", [delete(olderThan="30d"), keep(tagPrefixes=["release"])])
    assert gone(made, aged("release1", 40, "one"), aged("latest", 40, "one"), aged("x", 40)) == {"x"}


def test_a_tag_that_only_the_keep_policy_matches_is_kept() -> None:
    made = imported("gcp", [delete(tagPrefixes=["pr-"]), recent(1), keep(newerThan="3d")])
    assert gone(made, aged("v1", 99), aged("pr-1", 9), aged("pr-2", 8)) == {"pr-1"}


def test_untagged_versions_are_deleted_by_age_and_no_tag_does() -> None:
    made = imported("gcp", [delete(tagState="untagged", olderThan="7d"), keep(tagPrefixes=["release"])])
    assert (untagged_gone(made, 8), untagged_gone(made, 6)) == (True, False)
    assert gone(made, aged("v1", 99)) == set()


def test_a_manifest_that_lost_a_deleted_tag_is_deleted_by_the_age_of_untagged_images() -> None:
    packages = delete(tagState="untagged", olderThan="7d", packageNamePrefixes=["api"])
    made = imported("gcp", [delete(tagPrefixes=["pr-"], olderThan="90d"), packages])
    assert (untagged_gone(made, 8, "pr-1"), untagged_gone(made, 6, "pr-1")) == (True, False)
    assert (untagged_gone(made, 8, "v1"), untagged_gone(made, 8, "")) == (True, True)
    assert not untagged_gone(made, 99, "pr-1", repository="shop/web")


@pytest.mark.parametrize("keeping", [recent(5), keep(newerThan="30d"), keep(tagState="untagged")])
def test_untagged_versions_are_kept_where_a_keep_policy_may_hold_them(keeping: dict[str, Any]) -> None:
    made = imported("gcp", [delete(tagState="untagged", olderThan="7d"), keeping])
    assert not untagged_gone(made, 99)
    assert "a Keep policy may keep versions without a tag" in made.text


@pytest.mark.parametrize("condition", [{"newerThan": "3d"}, {"versionNamePrefixes": ["sha256:a"]}])
def test_a_delete_policy_that_cannot_be_expressed_is_left_out(condition: dict[str, Any]) -> None:
    made = imported("gcp", [delete(**condition)])
    assert rules_of(made) == []
    assert "it is left out" in made.text


@pytest.mark.parametrize(
    "condition",
    [
        {"olderThan": "3d", "tagPrefixes": ["v"]},
        {"newerThan": "3d", "tagPrefixes": ["v"]},
        {"versionNamePrefixes": ["sha256:a"]},
    ],
)
def test_a_keep_policy_that_cannot_be_expressed_keeps_more(condition: dict[str, Any]) -> None:
    made = imported("gcp", [delete(), keep(**condition)])
    assert gone(made, aged("v1", 99)) == set()
    assert f"no equivalent: {next(iter(condition))} in a Keep policy" in made.text


def test_a_repository_as_it_is_printed() -> None:
    printed = {
        "name": "projects/p/locations/l/repositories/r",
        "cleanupPolicyDryRun": True,
        "cleanupPolicies": {"old": {"id": "old", "action": "DELETE", "condition": {"olderThan": "3600s"}}},
    }
    made = imported("gcp", printed)
    assert made.values["dry_run"] is True
    assert rules_of(made)[0] == {
        "name": "old", "repos": ["shop/**"], "keep": {"pushed_within": "1h"}, "untagged": "1h", "final": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "this is empty"),
        ({}, "this must be a list of cleanup policies"),
        ([7], "[0]: must hold `key: value` pairs"),
        ([{"name": "x"}], "[0]: action is missing"),
        ([delete() | {"action": {"type": "Maybe"}}], "[0].action: must be 'delete' or 'keep'"),
        ([delete() | {"mostRecentVersions": {"keepCount": 1}}], "needs a condition or mostRecentVersions"),
        ([{"name": "x", "action": "Delete"}], "needs a condition or mostRecentVersions"),
        ([delete(tagState="some")], "[0].condition.tagState: must be 'any', 'tagged' or 'untagged'"),
        ([delete(olderThan="soon")], "[0].condition.olderThan: 'soon' is no duration"),
        ([delete(olderThan="-3d")], "'-3d' is no duration"),
        ([delete(olderThan="999999999999d")], "is more than 100 years"),
        ([recent(0)], "[0].mostRecentVersions.keepCount: must be at least 1"),
        ([recent(10**9)], "must be at most"),
        ([delete(unless="x")], "[0].condition.unless: pushprune does not know `unless` here"),
        ([delete()] * 300, "more than 200 policies"),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("gcp", values)
