"""GitLab: the examples of its documentation, with the outcome it gives for them."""

from typing import Any

import pytest

from tests.importers import aged, gone, imported, published, refused, rules_of


def project(**policy: Any) -> dict[str, Any]:
    """A project as the API shows it."""
    shown = {"cadence": "1d", "enabled": True, "keep_n": None, "older_than": None, "name_regex": ".*"}
    return {
        "id": 2,
        "path_with_namespace": "Shop/API",
        "container_expiration_policy": {**shown, "name_regex_keep": None, "next_run_at": "2026-01-01", **policy},
    }


def test_the_published_example_of_the_api_is_translated() -> None:
    made = imported("gitlab", published("gitlab-policy"), "shop/api")
    (rule,) = rules_of(made)
    assert rule == {
        "name": "expiration policy",
        "repos": ["shop/api", "shop/api/**"],
        "tags": ["!re:^.*-main$", "!latest"],
        "count": "tags",
        "keep": {"last": 1, "pushed_within": "14d"},
    }
    assert "no equivalent: cadence (1month)" in made.text


def test_the_published_workflow_deletes_the_three_tags_that_gitlab_deletes() -> None:
    """docs.gitlab.com, "Example cleanup policy workflow"."""
    made = imported("gitlab", project(keep_n=1, older_than="7d", name_regex_keep="production-.*"), None)
    ages = {
        "latest": 0.1, "production-v44": 3, "production-v43": 6, "production-v42": 11, "dev-v44": 2, "dev-v43": 5,
        "dev-v42": 10, "v44": 1, "v43": 12, "v42": 20,
    }  # fmt: skip
    assert gone(made, *(aged(name, days) for name, days in ages.items())) == {"dev-v42", "v43", "v42"}


def test_a_regex_matches_the_whole_name_and_the_newer_key_outranks_the_older() -> None:
    made = imported("gitlab", project(name_regex_delete="a|b", keep_n=1), None)
    assert rules_of(made)[0]["tags"] == ["re:^(?:a|b)$", "!latest"]


def test_a_policy_that_is_not_enabled_is_a_dry_run() -> None:
    assert imported("gitlab", project(enabled=False, older_than="7d"), None).values["dry_run"] is True


def test_alone_it_does_not_say_whose_it_is() -> None:
    made = imported("gitlab", project(older_than="7d")["container_expiration_policy"], None)
    assert gone(made, aged("v1", 99)) == set()
    assert "--within GROUP/PROJECT" in made.text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("", "this is empty"),
        ("[]", "must hold `key: value` pairs"),
        ({"id": 2}, "there is no container_expiration_policy in it"),
        (project(name_regex=""), "container_expiration_policy: name_regex is empty"),
        (project(name_regex="(?!x)"), "container_expiration_policy.name_regex: '(?!x)' is no expression"),
        (project(name_regex_keep="("), "container_expiration_policy.name_regex_keep: "),
        (project(older_than="soon"), "container_expiration_policy.older_than: 'soon' is no age"),
        (project(older_than="0d"), "'0d' is no age"),
        (project(older_than="999999y"), "more than 100 years"),
        (project(keep_n=-1), "container_expiration_policy.keep_n: must be at least 0"),
        (project(keep_n="5"), "container_expiration_policy.keep_n: must be a whole number"),
    ],
)
def test_a_field_that_cannot_be_translated_is_refused_at_its_place(values: Any, sentence: str) -> None:
    assert sentence in refused("gitlab", values, None)
