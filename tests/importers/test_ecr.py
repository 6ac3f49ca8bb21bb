"""Amazon ECR: the examples of its User Guide, and the policy that each becomes."""

import json
from typing import Any

import pytest

from tests.importers import aged, gone, imported, published, refused, rules_of, untagged_gone, used


def expire(priority: int, status: str, count: str, number: int, *prefixes: str, **more: Any) -> dict[str, Any]:
    selection: dict[str, Any] = {"tagStatus": status, "countType": count, "countNumber": number}
    if prefixes:
        selection["tagPrefixList"] = list(prefixes)
    if count.startswith("since"):
        selection["countUnit"] = "days"
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}, **more}


def policy(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": list(rules)}


def test_the_published_example_by_age_is_translated() -> None:
    made = imported("ecr", published("ecr-age"), "shop/api")
    assert rules_of(made) == [
        {
            "name": "Expire images older than 14 days",
            "repos": ["shop/api"],
            "tags": ["prod*"],
            "keep": {"pushed_within": "14d"},
            "final": True,
        }
    ]
    assert gone(made, aged("prod", 15), aged("prod2", 13), aged("dev", 99)) == {"prod"}


def test_the_published_example_of_two_rules_expires_image_a_alone() -> None:
    """The guide: image B matches the second rule, too, but the first has seen it; image C is the newest of the rest."""
    made = imported("ecr", published("ecr-two-rules"), "shop/api")
    tags = [
        aged("beta-1", 10, "A"), aged("prod-1", 10, "A"), aged("beta-2", 9, "B"), aged("prod-2", 9, "B"),
        aged("beta-3", 8, "C"),
    ]  # fmt: skip
    assert gone(made, *tags) == {"beta-1", "prod-1"}


def test_untagged_images_are_deleted_by_the_first_rule_that_concerns_them() -> None:
    rules = [expire(1, "untagged", "sinceImagePushed", 2), expire(2, "any", "sinceImagePushed", 30)]
    made = imported("ecr", policy(*rules), "shop/api")
    assert (untagged_gone(made, 3), untagged_gone(made, 1), untagged_gone(made, 3, "")) == (True, False, True)
    assert gone(made, aged("v1", 3), aged("v2", 31)) == {"v2"}
    assert not untagged_gone(imported("ecr", policy(*rules), "shop/api"), 3, repository="shop/web")


def test_a_manifest_that_lost_a_tag_of_a_rule_is_deleted_too() -> None:
    rules = [expire(1, "tagged", "imageCountMoreThan", 9, "prod"), expire(2, "untagged", "sinceImagePushed", 2)]
    made = imported("ecr", policy(*rules), "shop/api")
    assert [untagged_gone(made, 3, lost) for lost in ("prod1", "dev1", "")] == [True, True, True]
    assert not untagged_gone(made, 1, "prod1")


def test_untagged_images_by_number_have_no_equivalent_and_are_kept() -> None:
    """The guide's `keep only one untagged image`."""
    made = imported("ecr", policy(expire(1, "untagged", "imageCountMoreThan", 1)), "shop/api")
    assert not untagged_gone(made, 999)
    assert "no equivalent: what 'rule 1' does with untagged images" in made.text


def test_an_untagged_rule_alone_deletes_no_tag() -> None:
    made = imported("ecr", policy(expire(1, "untagged", "sinceImagePushed", 14)), "shop/api")
    assert gone(made, aged("v1", 999)) == set()
    assert untagged_gone(made, 15)


def test_several_patterns_must_all_match_there_which_has_no_equivalent() -> None:
    rules = [expire(1, "tagged", "imageCountMoreThan", 1, "alpha", "beta"), expire(2, "any", "sinceImagePushed", 1)]
    made = imported("ecr", policy(*rules), "shop/api")
    assert "match all of these patterns together" in made.text
    assert gone(made, aged("alpha1", 9), aged("beta1", 9), aged("other", 9)) == {"other"}


def test_the_archive_has_no_equivalent() -> None:
    archive = expire(1, "any", "sinceImagePulled", 90)
    archive["action"] = {"type": "transition", "targetStorageClass": "archive"}
    purge = expire(2, "any", "sinceImageTransitioned", 365)
    purge["selection"]["storageClass"] = "archive"
    made = imported("ecr", policy(archive, purge), "shop/api")
    assert [rule["keep"] for rule in rules_of(made)] == ["always"]
    assert "there is no archive to move images to" in made.text
    assert "'rule 2' is for archived images" in made.text


def test_an_image_expires_by_its_last_pull() -> None:
    made = imported("ecr", policy(expire(1, "any", "sinceImagePulled", 30)), "shop/api")
    assert gone(made, aged("v1", 99, pulled_us=used(31)), aged("v2", 99, pulled_us=used(29))) == {"v1"}


def test_patterns_keep_their_stars_and_nothing_else_is_special() -> None:
    rule = expire(1, "tagged", "imageCountMoreThan", 1)
    rule["selection"]["tagPatternList"] = ["*test*1"]
    assert rules_of(imported("ecr", policy(rule), "shop/api"))[0]["tags"] == ["*test*1"]
    rule["selection"]["tagPatternList"] = ["[a]*"]
    made = imported("ecr", policy(rule), "shop/api")
    assert rules_of(made)[0]["tags"] == ["re:^\\[a\\].*$"]


def test_the_output_of_the_command_line_names_its_repository() -> None:
    printed = {
        "registryId": "012345678910",
        "repositoryName": "shop/api",
        "lifecyclePolicyText": json.dumps(published("ecr-age")),
        "lastEvaluatedAt": 1.5,
    }
    assert rules_of(imported("ecr", printed, None))[0]["repos"] == ["shop/api"]


def test_without_a_repository_none_is_meant() -> None:
    made = imported("ecr", published("ecr-age"), None)
    assert gone(made, aged("prod1", 99)) == set()
    assert "--within REPOSITORY" in made.text


def test_rules_of_one_description_get_a_name_each() -> None:
    rules = [expire(number, "tagged", "imageCountMoreThan", 1, f"p{number}", description="x" * 90) for number in (1, 2)]
    assert [len(rule["name"]) for rule in rules_of(imported("ecr", policy(*rules), ""))] == [64, 64]


COUNT = "imageCountMoreThan"


def test_a_count_may_be_larger_than_the_longest_age() -> None:
    assert rules_of(imported("ecr", policy(expire(1, "any", COUNT, 50_000))))[0]["keep"] == {"last": 50_000}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "this is empty"),
        ("{nope", "line 1: this is not JSON"),
        ("[" * 99_999, "nested more than 40 levels deep"),
        ('{"rules": [NaN]}', "rules[0]: must hold `key: value` pairs"),
        ('{"rules": [%s]}' % ("9" * 5000), "this value makes no sense"),
        ([], "must hold `key: value` pairs"),
        ({"rules": [{}]}, "line 3: rules[0]: rulePriority is missing; add it"),
        (policy(expire(1, "some", COUNT, 1)), "rules[0].selection.tagStatus: must be 'tagged', 'untagged' or 'any'"),
        (policy(expire(1, "tagged", COUNT, 1)), "rules[0].selection: tagged needs tagPatternList"),
        (policy(expire(1, "any", COUNT, 1, "v")), "tagged needs tagPatternList or tagPrefixList, and nothing else"),
        (policy(expire(1, "any", COUNT, 0)), "rules[0].selection.countNumber: must be at least 1"),
        (policy(expire(1, "any", COUNT, -5)), "must be at least 1"),
        (policy(expire(1, "any", COUNT, 10**40)), "countNumber: must be"),
        (policy(expire(1, "any", "sinceImagePushed", 999_999)), "999999 days is more than 100 years"),
        (policy(expire(1, "any", "sometimes", 1)), "rules[0].selection.countType: must be 'imageCountMoreThan', "),
        (policy(expire(1, "any", COUNT, 1), expire(1, "any", COUNT, 1)), "two rules have the priority 1"),
        (policy(expire(1, "any", COUNT, 1, unless="x")), "rules[0].unless: pushprune does not know `unless` here"),
        ({"lifecyclePolicyText": "{"}, "lifecyclePolicyText: in it, line 1: this is not JSON"),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("ecr", values)


def test_a_place_that_is_no_repository_is_refused() -> None:
    assert "--within 'Shop/*' is no name" in refused("ecr", published("ecr-age"), "Shop/*")
