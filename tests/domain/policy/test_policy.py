"""The policy language: its words, their meaning, and one sentence for each error."""

import json
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from service.domain.policy.model import Keep, Policy, schema
from service.domain.policy.units import parse_duration, spell_count, spell_duration
from tests.support.makers import policy

EMPTY = "it is empty; leave it out if everything is meant"
SAYS_NOTHING = "it is empty; write always, none, or a condition such as {last: 10}"


def refused(text: str) -> tuple[str, str]:
    """Return the place of a policy's first fault, and its message."""
    with pytest.raises(ValidationError) as raised:
        policy(text)
    first = raised.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


def test_an_empty_policy_deletes_nothing_and_holds_back_large_plans() -> None:
    assert policy("").model_dump() == {
        "version": 1, "dry_run": False, "protect": (), "grace": 0, "hold_over": 50, "hold_min": 20,
            "first_plan": "hold",
        "shared": "untag", "ignore_pulls": (), "rules": (),
    }  # fmt: skip


def test_the_whole_first_form_can_be_expressed() -> None:
    rules = policy("""
        version: 1
        dry_run: true
        protect: latest
        grace: 90m
        hold_over: 25%
        hold_min: 5
        shared: keep
        rules:
        - name: branches
          repos: ["shop/**", "!shop/old"]
          tags: ['re:-\\d+$']
          count: tags
          keep: {last: 3}
          final: true
        - {repos: shop/old, keep: none}
        - {keep: always}
    """)
    assert (rules.dry_run, rules.protect, rules.grace, rules.hold_over, rules.hold_min) == (
        True,
        ("latest",),
        5400,
        25,
        5,
    )
    assert rules.shared == "keep"
    assert [rule.keep for rule in rules.rules] == [Keep(last=3), "none", "always"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("rules: [{}]", "rules.0.keep", "Field required"),
        (
            "rules: [{keep: {}}]",
            "rules.0.keep",
            f"Value error, {SAYS_NOTHING}",
        ),
        ("rules: [{keep: 10}]", "rules.0.keep", "Value error, it must name a condition; write {last: 10}"),
        ("rules: [{keep: {last: 0}}]", "rules.0.keep.Keep.last", "Input should be greater than or equal to 1"),
        ("rules: [{keep: {last: -1}}]", "rules.0.keep.Keep.last", "Input should be greater than or equal to 1"),
        ("rules: [{keep: {lst: 1, last: 1}}]", "rules.0.keep.Keep.lst", "Extra inputs are not permitted"),
        ("rules: [{kep: none, keep: none}]", "rules.0.kep", "Extra inputs are not permitted"),
        ("rules: [{keep: none, count: all}]", "rules.0.count", "Input should be 'digests' or 'tags'"),
        ("rules: [{keep: none, name: ''}]", "rules.0.name", "String should have at least 1 character"),
        ("rule: []", "rule", "Extra inputs are not permitted"),
        ("version: 2", "version", "Input should be 1"),
        ("rules: [{keep: none, tags: []}]", "rules.0.tags", f"Value error, {EMPTY}"),
        ("rules: [{keep: none, repos: []}]", "rules.0.repos", f"Value error, {EMPTY}"),
        (
            "rules: [{keep: none, group: null}]",
            "rules.0.group",
            "Value error, it has no value; give it one or leave it out",
        ),
        (
            "rules: [{keep: {last: 1, pushed_within: null}}]",
            "rules.0.keep.Keep.pushed_within",
            "Value error, it has no value; give it one or leave it out",
        ),
        (
            "rules: [{keep: none, group: '^a'}]",
            "rules.0.group",
            "Value error, '^a' captures nothing; put ( ) around the part that names the group",
        ),
        ("rules: [{keep: {mode: all}}]", "rules.0.keep", f"Value error, {SAYS_NOTHING}"),
        (
            "rules: [{keep: {revisions: 101}}]",
            "rules.0.keep.Keep.revisions",
            "Input should be less than or equal to 100",
        ),
        ("hold_min: -1", "hold_min", "Input should be greater than or equal to 0"),
        ("protect: [5]", "protect.0", "Input should be a valid string"),
        ("protect: null", "protect", "Input should be a valid tuple"),
        (
            "rules: [{name: a, keep: none}, {name: a, keep: always}]",
            "rules.1.name",
            "Value error, two rules are called 'a'; give each its own name",
        ),
        (
            "rules: [{keep: none}, {name: '#1', keep: always}]",
            "rules.1.name",
            "Value error, two rules are called '#1'; give each its own name",
        ),
        (
            "rules: [{keep: none, tags: ['']}]",
            "rules.0.tags.0",
            "Value error, an empty pattern matches nothing; write * for everything",
        ),
        (
            "rules: [{keep: none, repos: ['re:(']}]",
            "rules.0.repos.0",
            "Value error, 're:(' is no regular expression that RE2 understands: missing ): (",
        ),
        (
            "rules: [{keep: none, tags: ['!re:(?=a)']}]",
            "rules.0.tags.0",
            "Value error, '!re:(?=a)' is no regular expression that RE2 understands: RE2 has no lookaheads; "
            "use a second pattern with !",
        ),
        (
            "grace: a while",
            "grace",
            "Value error, 'a while' is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d",
        ),
        (
            "hold_over: 101%",
            "hold_over",
            "Value error, '101%' is no percentage; write one from 0% to 100%, such as 50%",
        ),
    ],
)
def test_a_key_that_cannot_be_obeyed_is_refused_at_its_place(text: str, where: str, what: str) -> None:
    assert refused(text) == (where, what)


@pytest.mark.parametrize("text", ["last: true", "last: false", "last: 1.5", "last: many", "last: null", "last: []"])
def test_keep_last_is_a_whole_number(text: str) -> None:
    """`last: yes` must not keep one image and delete the others."""
    assert refused(f"rules: [{{keep: {{{text}}}}}]")[0].startswith("rules.0.keep.Keep.last")


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "true", "50.5%", "-1", "[]", "null", "'%'"])
def test_hold_over_is_a_percentage(value: str) -> None:
    assert refused(f"hold_over: {value}")[0] == "hold_over"


@pytest.mark.parametrize("message", [-1, 1.5, True, None, "", "h", "-1h", "1y", "1h30m", "1.5h", "٣d", "1h\n\n2", []])
def test_a_text_that_is_no_duration_is_refused(message: Any) -> None:
    with pytest.raises(ValueError, match="is no duration; write a number and a unit"):
        parse_duration(message)


@pytest.mark.parametrize("message", ["36501d", "99999w", 10**400])
def test_a_duration_beyond_a_hundred_years_is_refused(message: Any) -> None:
    with pytest.raises(ValueError, match="is too long; a hundred years"):
        parse_duration(message)


@pytest.mark.parametrize(
    ("duration_s", "sentence"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (5400, "90m"), (7200, "2h"), (90_000, "25h"), (604_800, "7d")],
)
def test_a_duration_is_spelt_in_its_largest_whole_unit(duration_s: int, sentence: str) -> None:
    assert (spell_duration(duration_s), parse_duration(sentence)) == (sentence, duration_s)


def test_no_protect_protects_nothing() -> None:
    assert not policy("").protects("latest")


def test_the_rules_of_a_repository_come_in_order_and_each_has_a_name() -> None:
    rules = policy("""
        rules:
        - {repos: shop/*, keep: none}
        - {repos: other, keep: none}
        - {name: all, keep: always}
        - {repos: "!other", keep: {last: 1}}
    """)
    assert [name for name, _ in rules.rules_for("shop/api")] == ["#1", "all", "#4"]
    assert [name for name, _ in rules.rules_for("other")] == ["#2", "all"]


def test_a_policy_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        policy("").dry_run = True  # type: ignore[misc]


def test_every_key_is_described_for_editors() -> None:
    schema = Policy.model_json_schema()
    for described in (schema, schema["$defs"]["Rule"], schema["$defs"]["Keep"]):
        assert described["additionalProperties"] is False
        assert all(field.get("description") for field in described["properties"].values())


def test_an_empty_list_of_protected_tags_protects_nothing() -> None:
    assert not policy("protect: []").protects("latest")


def test_pulls_are_ignored_by_client_or_by_user() -> None:
    rules = policy("ignore_pulls: ['trivy*', scanner]")
    assert rules.ignores_pull("trivy/0.5 (linux/amd64)", "alice")
    assert rules.ignores_pull("docker/29", "scanner")
    assert not rules.ignores_pull("docker/29", "alice")
    assert not policy("").ignores_pull("trivy/0.5", "")


@pytest.mark.parametrize("tags", ["'*'", "'**'"])
def test_a_rule_for_every_tag_speaks_of_manifests_that_never_had_one(tags: str) -> None:
    assert policy(f"rules: [{{tags: {tags}, keep: none}}]").rules[0].concerns_every_tag


def test_a_new_condition_may_depend_on_other_tags_until_it_is_known_not_to() -> None:
    class Newer(Keep):
        newest: int | None = None

    assert Newer(last=1, pushed_within="1d", pulled_within="1d", mode="all").only_last_compares_tags
    assert not Newer(last=1, newest=1).only_last_compares_tags
    assert not Keep(last=1, last_pulled=1).only_last_compares_tags
    assert not Keep(last=1, revisions=1).only_last_compares_tags


def test_the_schema_refuses_an_empty_keep_and_has_no_titles_but_its_own() -> None:
    described = schema()
    check = jsonschema_rs.Draft202012Validator(described)
    assert not check.is_valid({"rules": [{"keep": {}}]})
    assert not check.is_valid({"rules": [{"keep": {"mode": "all"}}]})
    assert not check.is_valid({"grace": 30})
    assert check.is_valid({"grace": "30d", "rules": [{"keep": {"revisions": 2}}, {"keep": {"last": 1}}]})
    assert json.dumps(described).count('"title"') == 1
    assert "seconds" not in described["description"]


def test_editors_are_told_what_is_refused() -> None:
    described = schema()
    rule = described["$defs"]["Rule"]["properties"]
    text = {"type": "string", "minLength": 1, "maxLength": 512}
    texts = {"type": "array", "items": text, "maxItems": 1000}
    assert (described["$schema"], described["title"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        "pushprune policy",
    )
    assert rule["tags"]["anyOf"] == [text, texts | {"minItems": 1}]
    assert described["properties"]["protect"]["anyOf"] == [text, texts]
    assert rule["group"].items() >= text.items()
    assert rule["older_than"]["anyOf"][0] == {"type": "integer", "const": 0}


@pytest.mark.parametrize("sentence", ["30", "'30'", "1:30"])
def test_a_number_without_a_unit_is_no_duration_of_a_policy(sentence: str) -> None:
    for text in ("grace: SAID", "rules: [{keep: {pushed_within: SAID}}]", "rules: [{older_than: SAID, keep: none}]"):
        assert "is missing: write" in refused(text.replace("SAID", sentence))[1]
    assert "the unit of 30 is missing: write 30w, 30d, 30h, 30m or 30s" in refused("grace: 30")[1]
    assert policy("grace: 0").grace == policy("grace: '0'").grace == 0


def test_a_policy_written_as_json_reads_the_same() -> None:
    rules = policy("grace: 90m\nrules: [{keep: {pushed_within: 7d}, untagged: keep}, {untagged: 3d, keep: none}]")
    assert Policy.model_validate_json(rules.model_dump_json(exclude_none=True)) == rules


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("protect: ['{latest,stable}']",
         "'{latest,stable}' can match no tag: { is no wildcard here; write one pattern each"),
        ("protect: 'shop/t:latest'", "'shop/t:latest' can match no tag: write the tag alone, without /"),
        ("rules: [{tags: ['!a|b'], keep: none}]",
         "'!a|b' can match no tag: | is no wildcard here; write one pattern each"),
        ("rules: [{repos: 'registry.example.com:5000/shop/*', keep: none}]",
         "'registry.example.com:5000/shop/*' can match no repository: write it without host, tag and capital letters, "
         "without :"),
        ("rules: [{repos: /shop/, keep: none}]",
         "'/shop/' can match no repository: write it without a slash at either end"),
        ("rules: [{repos: shop/, keep: none}]",
         "'shop/' can match no repository: write it without a slash at either end"),
        ("rules: [{repos: Shop/*, keep: none}]",
         "'Shop/*' can match no repository: write it without host, tag and capital letters, without S"),
    ],
)  # fmt: skip
def test_a_pattern_that_can_match_nothing_is_refused(text: str, sentence: str) -> None:
    assert refused(text)[1] == f"Value error, {sentence}"


@pytest.mark.parametrize(
    "text",
    ["protect: ['v[0-9]*', '[!/]x', '**/v1', 're:^(a|b)$', '!V_1.0-x']", "ignore_pulls: ['curl/{8}: x']",
     "rules: [{repos: ['a.b_c-d/**', '[A-Z]x', WHERE-IT-BELONGED/**, 're:^A'], keep: none}]"],
)  # fmt: skip
def test_a_pattern_that_could_match_is_accepted(text: str) -> None:
    policy(text)


@pytest.mark.parametrize(
    ("count", "noun", "spelled"),
    [
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (0, "repository", "0 repositories"),
        (1000, "repository", "1,000 repositories"),
        (3, "history entry", "3 history entries"),
    ],
)
def test_a_count_has_its_noun_in_the_singular_or_plural(count: int, noun: str, spelled: str) -> None:
    assert spell_count(count, noun) == spelled
