"""registry-cli: its README's command lines, and the policy that each becomes."""

import shlex

import pytest

from tests.importers import aged, commanded, gone, refused_command, rules_of, used


def words(line: str) -> list[str]:
    return shlex.split(line)


def test_the_readmes_keep_last_counts_by_name_and_by_version_and_keeps_what_either_keeps() -> None:
    made = commanded(
        "registry-cli", *["registry.py", "-l", "u:hush", "-r", "https://example.com:5000", "--delete", "--num", "5"]
    )
    assert rules_of(made) == [
        {"name": "by name", "order": "name", "keep": {"last": 5}},
        {"name": "by version", "order": "semver", "keep": {"last": 5}},
    ]
    assert "hush" not in made.text


def test_the_readmes_snapshots_are_deleted_save_those_that_a_kept_tag_names() -> None:
    made = commanded(
        "registry-cli", "--delete", "--num", "1", "--order-by-date", "--tags-like", "snapshot-", "--keep-tags",
        "stable", "latest",
    )  # fmt: skip
    tags = [aged(f"snapshot-{days}", days, created_us=used(days)) for days in (1, 2, 3)]
    assert gone(made, *tags, aged("stable", 3, "snapshot-3"), aged("other", 9)) == {"snapshot-2"}


def test_kept_tags_use_up_places_as_they_do_there() -> None:
    made = commanded("registry-cli", "--delete", "--num", "1", "--order-by-date", "--keep-tags-like", "^v2$")
    tags = [aged(f"v{days}", days, created_us=used(days)) for days in (2, 3, 4)]
    assert gone(made, *tags) == {"v3", "v4"}


def test_the_readmes_delete_all_of_one_image() -> None:
    made = commanded("registry-cli", "-i", "ubuntu", "--delete-all", "--dry-run")
    rule = {"name": "all", "repos": ["ubuntu"], "keep": "none"}
    assert made.values == {"dry_run": True, "shared": "keep", "rules": [rule]}


def test_the_readmes_delete_by_hours() -> None:
    line = (
        "-r http://x:5000 -i api-docs-origin/master --dry-run --delete-by-hours 24"
        " --keep-tags c59c --keep-tags-like late"
    )
    made = commanded("registry-cli", *words(line))
    assert rules_of(made) == [
        {"name": "kept", "repos": ["api-docs-origin/master"], "tags": ["c59c", "re:late"], "keep": "always"},
        {"name": "by age", "repos": ["api-docs-origin/master"], "keep": {"pushed_within": "1d"}},
    ]


def test_a_young_tag_is_kept_beside_the_last_tags() -> None:
    (rule,) = rules_of(commanded("registry-cli", "--delete-all", "--keep-by-hours", "48", "--images-like", "^shop/"))
    assert rule == {"name": "all", "repos": ["re:^shop/"], "keep": {"pushed_within": "2d"}}


def test_num_0_deletes_nothing_as_it_does_there() -> None:
    assert rules_of(commanded("registry-cli", "--delete", "--num", "0")) == [{"name": "last", "keep": "always"}]


def test_without_a_delete_there_is_no_rule() -> None:
    made = commanded("registry-cli", "-r", "http://x")
    assert rules_of(made) == []
    assert "it deletes nothing" in made.text


def test_an_image_with_a_tag_is_no_matter_of_a_policy() -> None:
    made = commanded("registry-cli", "-i", "ubuntu:22", "--delete-all")
    assert rules_of(made) == []
    assert "no equivalent: ubuntu:22 names one tag" in made.text


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--wat", "unrecognized arguments: --wat"),
        ("--delete --num -3", "--num"),
        ("--delete --num many", "--num many: this is no whole number"),
        ("--delete-by-hours 99999999999", "--delete-by-hours 99999999999: this is more than"),
        ("--delete --tags-like (?<=a)b", "--tags-like: '(?<=a)b' is no expression that RE2 understands"),
        ("--delete --tags-like [[:alpha:]]", "Python reads [[: as letters"),
        ("--delete --keep-tags-like (", "--keep-tags-like: '(' is no expression"),
        ("--keep-tags", "expected at least one argument"),
        ("", "no flag was given; give registry-cli's flags"),
        ("nonsense", "'nonsense' is neither a flag nor a file"),
    ],
)
def test_an_option_that_cannot_be_translated_is_refused_by_name(line: str, sentence: str) -> None:
    assert sentence in refused_command("registry-cli", *line.split())
