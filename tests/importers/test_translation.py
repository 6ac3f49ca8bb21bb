"""The YAML of a translation: any text in a name, a pattern or a note is read back unchanged."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.importers import Text, import_document
from service.importers.period import parse_period
from service.importers.translation import (
    NotImportable,
    Translation,
    imported_rule,
    keep_of,
    translation,
)
from tests.importers import aged, commanded, gone, imported, refused


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_place(name: str, note: str) -> None:
    made = translation(name, [imported_rule(name, keep="always", tags=["v*"], notes=[note])], [note])
    assert yaml.safe_load(made.text) == made.values
    Policy.model_validate(made.values)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_pattern_is_read_back_as_it_was(pattern: str) -> None:
    made = translation("x", [imported_rule("x", keep="none", tags=[f"re:^x{pattern}"])])
    assert yaml.safe_load(made.text)["rules"][0]["tags"] == [f"re:^x{pattern}"]


@pytest.mark.parametrize(
    "text",
    [
        '{"repositoryName": "😀",\n\t"lifecyclePolicyText": "{\\n\\t\\"rules\\": []}"}',
        '{"repositoryName":"\\ud83d\\ude00","lifecyclePolicyText":"{\\"rules\\":[]}"}',
        'repositoryName: 😀\nlifecyclePolicyText: "rules: []"\n',
    ],
)
def test_a_document_is_json_however_it_is_indented_or_yaml(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--within '😀' is no name"):
        import_document("ecr", Text("given", text))


LONG = "x" * 5_000


def test_no_sentence_repeats_a_long_key_or_value() -> None:
    for values in ({LONG: 1, "rules": [{LONG: 1}]}, {"rules": [{"template": LONG}]}, f'{{"{LONG}": 1, "{LONG}": 2}}'):
        assert LONG[:50] not in refused("harbor", values)


def test_keys_at_their_default_are_left_out() -> None:
    rule = imported_rule("x", repos=["a", "**"], tags=["re:.*", "!pr-*"], keep=keep_of(), order="created", count="tags")
    assert dict(rule.keys) == {"name": "x", "tags": ("!pr-*",), "keep": "none"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("720h", 2_592_000),
        ("1h15m", 4500),
        ("2d3h6m", 183_960),
        ("0s", 0),
        ("1.5h", 5400),
        ("1ms", 1),
        ("2w", 1_209_600),
    ],
)
def test_a_period_is_never_shortened(text: str, seconds: int) -> None:
    assert parse_period(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1 d", "1y", "1e9s", "٣d", "nan", "9" * 999 + "d", "1d" * 9999])
def test_a_text_that_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(NotImportable):
        parse_period(text, units="s m h")


_OLD = [{"name": "old", "action": {"type": "Delete"}, "condition": {"olderThan": "1d"}}]
_HARBOR = {"template": "latestPushedK", "params": {"latestPushedK": 1}, "tag_selectors": []}
_ECR = {"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 1}


@pytest.mark.parametrize(
    ("made", "shared"),
    [
        (commanded("deckschrubber", "-latest", "1", "-tag", "^v"), "keep"),
        (commanded("registry-cli", "-d", "-n", "1", "--tags-like", "^v"), "keep"),
        (imported("harbor", {"rules": [_HARBOR]}), "keep"),
        (imported("ecr", {"rules": [{"rulePriority": 1, "selection": _ECR, "action": {"type": "expire"}}]}), "keep"),
        (imported("gcp", _OLD), "keep"),
        (commanded("acr", "--filter", ".*:^v", "--ago", "1d"), None),
        (imported("gitlab", {"keep_n": 1, "older_than": "7d", "name_regex": "v.*"}), None),
        (imported("quay", [{"method": "number_of_tags", "value": 1}]), None),
    ],
    ids=lambda value: value.tool if isinstance(value, Translation) else "",
)
def test_a_policy_of_whole_images_keeps_all_tags_of_an_image_that_one_tag_keeps(
    made: Translation, shared: str | None
) -> None:
    assert made.values.get("shared") == shared


def test_an_old_tag_of_an_image_that_is_kept_is_deleted_only_where_the_tool_deletes_tags() -> None:
    def deleted(tool: str) -> set[str]:
        made = translation(tool, [imported_rule("x", keep="none", tags=["v*"])])
        return gone(made, aged("v1", 9, "x"), aged("main", 9, "x"), aged("v2", 9))

    assert (deleted("Harbor"), deleted("GitLab")) == ({"v2"}, {"v1", "v2"})
    assert "shared" not in translation("Harbor", []).values
