"""Quay: the examples of its API reference, and the result of several policies together."""

from typing import Any

import pytest

from tests.importers import aged, gone, imported, published, refused, rules_of


def count(value: Any, **more: Any) -> dict[str, Any]:
    return {"method": "number_of_tags", "value": value, **more}


def age(value: Any, **more: Any) -> dict[str, Any]:
    return {"method": "creation_date", "value": value, **more}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("quay-count", {"tags": ["re:v*"], "count": "tags", "keep": {"last": 10}}),
        ("quay-age", {"tags": ["re:^v*"], "keep": {"pushed_within": "4d"}}),
    ],
)
def test_the_published_examples_are_translated(name: str, rule: dict[str, Any]) -> None:
    (made,) = rules_of(imported("quay", published(name)))
    assert made == {"name": "auto-prune 1", "repos": ["shop/**"], **rule}


@pytest.mark.parametrize("value", [10, "10", "0010", "0" * 5_000 + "10"])
def test_zeros_before_a_number_do_not_change_it(value: Any) -> None:
    assert rules_of(imported("quay", count(value)))[0]["keep"] == {"last": 10}


def test_policies_for_the_same_tags_must_all_keep_a_tag() -> None:
    made = imported("quay", {"policies": [count(2, uuid="a"), age("5d", uuid="b"), count(9)]})
    assert rules_of(made)[0]["keep"] == {"last": 2, "pushed_within": "5d", "mode": "all"}
    assert gone(made, aged("v4", 1), aged("v3", 2), aged("v2", 3)) == {"v2"}
    assert gone(made, aged("v4", 1), aged("v3", 9)) == {"v3"}


def test_policies_for_different_tags_keep_more_here() -> None:
    made = imported("quay", [count(1), age("5d", tagPattern="^v")])
    assert "here a tag is kept if any of them keeps it" in made.text
    assert gone(made, aged("x", 1), aged("v1", 2), aged("v0", 9)) == {"v0"}


def test_a_repository_is_meant_alone_and_an_organization_with_all_below_it() -> None:
    assert rules_of(imported("quay", count(1), "shop/api"))[0]["repos"] == ["shop/api"]
    assert gone(imported("quay", count(1), None), aged("v1", 9), aged("v2", 8)) == set()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "this is empty"),
        ("7", "must hold `key: value` pairs"),
        ({"policies": 7}, "policies: must be a list"),
        ([count(1), {}], "line 6: [1]: method is missing"),
        ({"method": "guess", "value": 1}, "method: must be 'number_of_tags' or 'creation_date'"),
        (count(0), "value: must be a number of tags from 1"),
        (count(-5), "value: must be a number of tags from 1"),
        (count("9" * 999), "value: must be a number of tags from 1"),
        (count("0" * 10), "value: must be a number of tags from 1"),
        (count("0000000001" + "9" * 9), "value: must be a number of tags from 1"),
        (count("0000000001" + "9" * 9_999), "value: must be a number of tags from 1"),
        (age("7y"), "value: '7y' is no duration"),
        (age("0d"), "value: must be more than 0"),
        (age("99999999w"), "more than 100 years"),
        (age("7d", tagPattern="(?=x)"), "tagPattern: '(?=x)' is no expression"),
        (count(True), "value: must be"),
        (count(1, unless="x"), "unless: pushprune does not know `unless` here"),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("quay", values)
