"""Azure: the command lines of `acr purge --help`, and a registry's retention policy."""

import pytest

from tests.importers import (
    aged,
    commanded,
    gone,
    imported,
    published,
    refused,
    refused_command,
    rules_of,
    untagged_gone,
)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--filter", "hello-world:.*", "--ago", "1d"), {"older_than": "1d", "keep": "none"}),
        (
            ("--filter", "hello-world:^hello.*", "--ago", "7d", "--keep", "2"),
            {"tags": ["re:^hello.*"], "older_than": "7d", "count": "tags", "keep": {"last": 2}},
        ),
        (("-f", "hello-world:hello-world", "--ago", "1h15m"), {
            "tags": ["re:hello-world"], "older_than": "75m", "keep": "none",
        }),
    ],
)  # fmt: skip
def test_the_examples_of_its_help_are_translated(words: tuple[str, ...], rule: dict[str, object]) -> None:
    (made,) = rules_of(commanded("acr", "acr", "purge", "-r", "example", *words))
    assert made == {"name": "hello-world", "repos": ["hello-world"], **rule}


@pytest.mark.parametrize("short", [("-f", "a:b=c"), ("-f=a:b=c",), ("-fa:b=c",)])
def test_a_short_flag_may_be_written_in_each_way_of_pflag(short: tuple[str, ...]) -> None:
    assert commanded("acr", *short, "--ago", "1d").values == commanded("acr", "--filter", "a:b=c", "--ago", "1d").values


def test_a_value_is_not_read_as_a_short_flag() -> None:
    assert "'-c' is no duration" in refused_command("acr", "--filter", "a:b", "--ago", "-c")


@pytest.mark.parametrize("keep", ["3", "0000000000003"])
def test_zeros_before_a_number_do_not_change_it(keep: str) -> None:
    (rule,) = rules_of(commanded("acr", "--filter", "a:b", "--ago", "1d", "--keep", keep))
    assert rule["keep"] == {"last": 3}


def test_every_repository_is_the_default_of_ours() -> None:
    assert "repos" not in rules_of(commanded("acr", "--filter", ".*:.*", "--ago", "7d"))[0]


def test_keep_counts_only_the_tags_that_are_old_enough() -> None:
    made = commanded("acr", "--filter", "shop/api:^v", "--ago", "7d", "--keep", "1")
    tags = [aged(f"v{days}", days) for days in (1, 8, 9, 10)]
    assert gone(made, *tags, aged("other", 99)) == {"v9", "v10"}


def test_untagged_is_deleted_by_the_same_age_and_no_tag_is_kept_by_that() -> None:
    made = commanded("acr", "--filter", "shop/api:^v", "--ago", "5d", "--untagged")
    assert gone(made, aged("v1", 9), aged("other", 9)) == {"v1"}
    assert (untagged_gone(made, 6), untagged_gone(made, 4), untagged_gone(made, 6, "other")) == (True, False, True)
    assert not untagged_gone(commanded("acr", "--filter", "shop/api:^v", "--ago", "5d"), 99)
    assert untagged_gone(commanded("acr", "--filter", "shop/api:^v", "--ago", "0d", "--untagged"), 1)


def test_locks_and_what_is_no_policy_are_named() -> None:
    text = commanded("acr", "-r", "x", "-p", "hush", "--filter", "a:b", "--ago", "1d", "--dry-run").text
    assert "no equivalent: locks" in text
    assert "--registry, --password: no part of a policy" in text
    assert "dry_run: true" in text
    assert "hush" not in text


def test_the_published_retention_policy_is_for_untagged_manifests_alone() -> None:
    made = imported("acr", published("acr-retention"), None)
    assert rules_of(made) == [{"name": "untagged", "keep": "always", "untagged": "30d"}]
    assert (untagged_gone(made, 31, ""), untagged_gone(made, 29)) == (True, False)
    assert gone(made, aged("v1", 999)) == set()


def test_a_retention_policy_that_is_off_makes_no_rule() -> None:
    assert rules_of(imported("acr", {"days": 7, "status": "disabled"}, None)) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--ago", "1d"), "needs --filter 'REPOSITORY:REGEX' and --ago"),
        (("--filter", "a:b"), "needs --filter"),
        (("--filter", "a", "--ago", "1d"), "write it as REPOSITORY:REGEX"),
        (("--filter", "a:b:c", "--ago", "1d"), "with one colon between"),
        (("--filter", "a:(?!b)", "--ago", "1d"), "--filter: '(?!b)' is no expression that RE2 understands"),
        (("--filter", "a:b", "--ago", "-1d"), "--ago: '-1d' is no duration"),
        (("--filter", "a:b", "--ago", "999999d"), "--ago: 999999d is more than 100 years"),
        (("--filter", "a:b", "--ago", "1d", "--keep", "-1"), "--keep -1: this is no whole number"),
        (("--filter", "a:b", "--ago", "1d", "--purge"), "'--purge' is no flag"),
    ],
)
def test_an_option_that_cannot_be_translated_is_refused_by_name(words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused_command("acr", *words)


@pytest.mark.parametrize(
    "words",
    [
        ("az", "acr", "run", "--cmd", "acr purge --filter 'a:b' --ago 1d", "--registry", "x", "/dev/null"),
        ("az", "acr", "task", "create", "--cmd=acr purge --filter a:b --ago 1d", "--schedule", "0 1 * * Sun"),
    ],
)
def test_the_command_within_az_is_found(words: tuple[str, ...]) -> None:
    assert commanded("acr", *words).values == commanded("acr", "--filter", "a:b", "--ago", "1d").values


@pytest.mark.parametrize("words", [("az", "acr", "run"), ("az", "acr", "run", "--cmd", "$PURGE_CMD", "/dev/null")])
def test_az_without_a_purge_in_it_says_what_to_paste(words: tuple[str, ...]) -> None:
    assert "paste the command in --cmd" in refused_command("acr", *words)


def test_a_colon_in_a_group_or_a_class_is_no_divider() -> None:
    (rule,) = rules_of(commanded("acr", "--filter", "a:(?:x|y)[[:digit:]]", "--ago", "1d"))
    assert rule["tags"] == ["re:(?:x|y)[[:digit:]]"]


@pytest.mark.parametrize("values", [{}, [], {"days": "7"}, {"days": -1}, {"days": 10**9}, "", "7", "{"])
def test_a_document_that_is_no_retention_policy_is_refused(values: object) -> None:
    assert refused("acr", values).startswith("given.json")
