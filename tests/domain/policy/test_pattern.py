"""Patterns: globs mean what wcmatch says they mean, expressions what RE2 says, and none of them can hang a worker."""

import json

import pytest
import re2
from hypothesis import assume, given
from hypothesis import strategies as st
from wcmatch import glob

from service.domain.policy.patterns import Selector, compile_expression, compile_patterns
from tests.support.examples import examples
from tests.support.makers import policy


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["v1", "a.b", ".a"], ["a/b", ""]),
        ("**", ["a", "a/b", "a/b/c"], []),
        ("shop/*", ["shop/api"], ["shop", "shop/api/v2", "myshop/api", "shop/"]),
        ("shop/**", ["shop/api", "shop/api/v2"], ["shop", "shopping/api", "my/shop/api"]),
        ("**/api", ["api", "shop/api", "a/b/api"], ["shop/api2", "shopapi"]),
        ("*/api", ["shop/api"], ["api", "a/b/api"]),
        ("v?", ["v1", "vv"], ["v", "v12"]),
        ("v[0-9]", ["v1"], ["vx", "v10"]),
        ("[!v]*", ["a1"], ["v1"]),
        ("V1", ["V1"], ["v1"]),
        ("v1.0", ["v1.0"], ["v1x0"]),
        ("{a,b}", ["{a,b}"], ["a", "b"]),
        ("a|b", ["a|b"], ["a", "b"]),
        ("re:^v", ["v1", "v"], ["1v"]),
        ("re:-[0-9]+$", ["main-17"], ["main", "main-17-rc"]),
        ("re:b", ["abc"], ["ac"]),
        ("re:(?i)^V", ["v1", "V1"], ["1"]),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = compile_patterns((pattern,))
    assert [text for text in matching + others if matches(text)] == matching


@pytest.mark.parametrize(
    "pattern", ["re:^(a+)+$", "re:^(a|aa)+$", "re:^(a|a)*$", "re:^(.*a){20}$", "re:^(a?){40}a{40}$"]
)
def test_an_expression_that_hangs_other_engines_is_answered(pattern: str) -> None:
    matches = compile_patterns((pattern,))
    assert matches("a" * 60)
    assert not matches("a" * 127 + "!")


def test_a_glob_full_of_stars_is_answered() -> None:
    matches = compile_patterns(("*a" * 12 + "[bc]",))
    assert matches("a" * 127 + "b")
    assert not matches("a" * 128)


@pytest.mark.parametrize(
    "pattern", [r"re:(a)\1", "re:(?=a)", "re:(?!a)", "re:(?<=a)b", "re:[", "re:*", "re:a{1001}", "re:\\"]
)
def test_an_expression_beyond_linear_time_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression that RE2 understands"):
        policy(f"protect: {json.dumps(pattern)}")


def test_patterns_are_any_of_the_positive_and_none_of_the_negated() -> None:
    matches = compile_patterns(("shop/**", "re:^demo$", "!shop/old", "!re:tmp"))
    candidates = ("shop/api", "demo", "shop/old", "shop/tmp-1", "other")
    assert [text for text in candidates if matches(text)] == ["shop/api", "demo"]


def test_only_negated_patterns_select_all_the_rest() -> None:
    matches = compile_patterns(("!pr-*",))
    assert [text for text in ("v1", "pr-1") if matches(text)] == ["v1"]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a[.-0]b", ["a.b", "a0b"], ["a/b"]),
        ("a[--9]b", ["a-b", "a.b", "a5b"], ["a/b"]),
        ("a[!x]b", ["a.b"], ["a/b", "axb"]),
        ("a[^x]b", ["a.b"], ["a/b", "axb"]),
        ("[!-1]", ["0", "a"], ["-", "1"]),
        ("a//b", ["a/b"], ["ab"]),
        ("[]a]", ["]", "a"], ["[]a]"]),
        ("[!]]", ["a"], ["]"]),
        ("[ab", ["[ab"], ["a"]),
        ("[]", ["[]"], []),
        (r"\*", ["*"], ["a"]),
        ("a\\", ["a\\"], ["a"]),
        (r"[\d]", ["\\", "d"], ["1"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[[a]", ["[", "a"], ["b"]),
        ("a**b", ["ab", "axb"], ["a/b", "axc"]),
        ("**/**/b", ["b", "a/b", "a/a/b"], ["a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab"]),
        ("é?", ["éü"], ["é"]),
        ("re:", ["", "a"], []),
    ],
)
def test_an_odd_pattern_matches_what_it_says(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = compile_patterns((pattern,))
    assert [text for text in matching + others if matches(text)] == matching


def test_a_star_crosses_every_slash_in_texts_that_are_no_paths() -> None:
    matches = compile_patterns(("trivy*", "curl?[/-]*", "[!a-z]*"), crossing=True)
    assert all(map(matches, ("trivy/0.5 (linux/amd64)", "curl-/8", "/x")))
    assert not any(map(matches, ("docker/29 trivy", "curl/8")))
    assert compile_patterns(("*",), crossing=True)("docker/29\nagain")


def test_many_lists_are_answered_at_once() -> None:
    selector = Selector([("v*",), ("v*", "!v1"), ("!v*",), ("!v1", "!w"), ("v1", "v1", "re:1$"), ("!v1", "v1")])
    assert {text: sorted(selector.select(text)) for text in ("v1", "v2", "w", "x1")} == {
        "v1": [0, 4],
        "v2": [0, 1, 3],
        "w": [2],
        "x1": [2, 3, 4],
    }


@pytest.mark.parametrize("pattern", ["", "!"])
def test_a_pattern_of_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="an empty pattern matches nothing"):
        policy(f"protect: {json.dumps(pattern)}")


def test_a_reversed_range_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid character class range: z-a"):
        policy("protect: '[z-a]'")


LETTERS = "abz.-"
PIECES = st.sampled_from(["*", "**", "***", "?", "/", "/**/", "**/", "[", "]", "!", *LETTERS])
CLASSES = st.builds(
    "[{}{}]".format, st.sampled_from(["", "!", "^"]), st.text(alphabet=LETTERS + "019-]", min_size=1, max_size=4)
)
GLOBS = st.lists(PIECES | CLASSES, min_size=1, max_size=7).map("".join)
PARTS = st.text(alphabet=LETTERS + "019]![", min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
TEXTS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def is_reversed(pattern: str) -> bool:
    """True if it is refused for a range such as z-a; only these globs are."""
    try:
        compile_patterns((pattern,))
    except ValueError as error:
        return "invalid character class range" in str(error) or pattern == "!"
    return False


@examples(400)
@given(GLOBS, st.lists(TEXTS, min_size=1, max_size=12))
def test_a_glob_means_what_it_means_to_wcmatch(pattern: str, texts: list[str]) -> None:
    assume(not pattern.startswith("!") and not is_reversed(pattern))
    ours = compile_patterns((pattern,))
    theirs = glob.compile(pattern, flags=glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX)
    assert [text for text in texts if ours(text)] == [text for text in texts if theirs.match(text)]


@examples(100)
@given(st.lists(st.lists(GLOBS, min_size=1, max_size=3), min_size=1, max_size=4), TEXTS)
def test_many_lists_together_say_what_each_says_alone(lists: list[list[str]], text: str) -> None:
    assume(not any(is_reversed(pattern) for each in lists for pattern in each))
    alone = [compile_patterns(tuple(each))(text) for each in lists]
    selected = Selector([tuple(each) for each in lists]).select(text)
    assert [at in selected for at in range(len(lists))] == alone


def test_when_a_set_runs_out_of_memory_each_pattern_is_asked_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 then answers as if nothing matched: a protected tag would lose its protection."""
    monkeypatch.setattr(re2.Set, "Match", lambda _set, _text: [])
    assert Selector([("forced*",), ("!forced*",), ("re:-1$",)]).select("forced-1") == {0, 2}


@pytest.mark.slow
def test_when_a_set_is_too_large_each_pattern_is_asked_for_itself() -> None:
    many = [(f"re:^b{number}a{{0,900}}c$",) for number in range(120)]
    together = re2.Set.SearchSet()
    for (pattern,) in many:
        together.Add(pattern.removeprefix("re:"))
    with pytest.raises(re2.error, match="failed to compile Set"):
        together.Compile()
    assert Selector(many).select("b7aac") == {7}


def test_expressions_of_policies_that_are_gone_are_forgotten() -> None:
    assert compile_expression.cache_info().maxsize is not None


def test_a_refused_pattern_is_reported_once_and_not_by_the_engine_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"missing \)"):
        compile_patterns(("re:(never closed",))
    assert capfd.readouterr().err == ""
