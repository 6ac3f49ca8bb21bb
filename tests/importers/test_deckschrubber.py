"""deckschrubber: its README's command lines, and the policy that each becomes."""

import pytest

from tests.importers import aged, commanded, gone, refused_command, rules_of, used


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("-month 2 -day 2", {"order": "created", "keep": {"last": 1, "pushed_within": "64d"}}),
        (
            "-year 1 -registry http://myrepo:5000 -repos myproject/myimage,myproject/otherimage",
            {
                "repos": ["myproject/myimage", "myproject/otherimage"],
                "order": "created",
                "keep": {"last": 1, "pushed_within": "366d"},
            },
        ),
        ("-latest 3", {"order": "created", "keep": {"last": 3}}),
        ("-tag_regexp ^.*-SNAPSHOT$", {"tags": ["re:^.*-SNAPSHOT$"], "order": "created", "keep": {"last": 1}}),
        ("-repo ^shop/ -tag=^v -ntag beta", {
            "repos": ["re:^shop/"], "tags": ["re:^v", "!re:beta"], "order": "created", "keep": {"last": 1},
        }),
        ("-latest 0 -day 7", {"keep": {"pushed_within": "7d"}}),
        ("-latest 0", {"keep": "none"}),
    ],
)  # fmt: skip
def test_the_examples_of_its_readme_are_translated(line: str, rule: dict[str, object]) -> None:
    (made,) = rules_of(commanded("deckschrubber", *line.split()))
    assert made == {"name": "deckschrubber", **rule}


def test_the_newest_images_are_kept_whatever_their_age_and_so_does_what_is_young() -> None:
    made = commanded("deckschrubber", "-day", "30", "-latest", "2")
    tags = [aged(f"v{days}", days, created_us=used(days)) for days in (10, 20, 40, 50)]
    assert gone(made, *tags) == {"v40", "v50"}
    assert gone(made, *tags[2:]) == set()


def test_a_dry_run_is_imported_as_dry_run() -> None:
    assert commanded("deckschrubber", "-dry", "-latest", "5").values["dry_run"] is True
    assert "dry_run" not in commanded("deckschrubber", "-dry=false", "-latest", "5").values


def test_options_that_are_no_policy_are_named_without_their_secrets() -> None:
    text = commanded("deckschrubber", "-user", "me", "-password", "hush", "-insecure", "-latest", "5").text
    assert "-user, -password, -insecure: no part of a policy" in text
    assert "hush" not in text


def test_a_limit_of_repositories_has_no_equivalent() -> None:
    assert "-repos (5, its default)" in commanded("deckschrubber", "-latest", "5").text
    assert "-repos (100)" in commanded("deckschrubber", "-latest", "5", "-repos", "100").text


@pytest.mark.parametrize(
    "front", ["deckschrubber", "/go/bin/deckschrubber", "docker run --rm --name r lhanxetus/deckschrubber:0.7"]
)
def test_the_whole_line_may_be_given_with_the_program_in_front(front: str) -> None:
    assert commanded("deckschrubber", *front.split(), "-latest", "3") == commanded("deckschrubber", "-latest", "3")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "no flag was given"),
        ("-wat 3", "'-wat' is no flag; known:"),
        ("-latest", "-latest needs a value"),
        ("-latest -3", "-latest -3: this is no whole number"),
        ("-day 99999999999999999999", "-day 99999999999999999999: this is more than"),
        ("-year 200", "the age is more than 100 years"),
        ("-dry=maybe", "-dry=maybe is neither true nor false"),
        ("-tag (?!x)", "-tag: '(?!x)' is no expression that RE2 understands"),
        ("-latest 3 surplus", "'surplus' is no flag"),
        ("latest 3", "'latest' is neither a flag nor a file"),
    ],
)
def test_an_option_that_cannot_be_translated_is_refused_by_name(line: str, sentence: str) -> None:
    assert sentence in refused_command("deckschrubber", *line.split())
