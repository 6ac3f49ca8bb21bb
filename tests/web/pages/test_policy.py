"""The policy page: the policy in force, plans that wait for approval, and the effect of another policy."""

import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from service.domain.policy.patterns import Matcher, compile_patterns
from service.web.pages import policy
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event
from tests.web.pages.browser import Browser

TRIAL = "/panels/policy/trial"


@pytest.fixture
def held(serve_over_valkey: ServeEdge) -> Edge:
    """shop/api, whose plan to delete v1 and v2 waits."""
    edge = serve_over_valkey(policy=keep_last(1, hold_over=10, hold_min=1))
    edge.heard(*(event(tag=f"v{number}", at=number) for number in (1, 2, 3)))
    history = edge.store.history
    assert history.commit(history.snapshot("shop/api"), edge.wiring.verdicts.plan("shop/api"), "held")
    return edge


def test_the_rules_in_force_name_what_they_match(held: Edge) -> None:
    text = Browser(held).text("/panels/policy/force")
    assert "<bdi>last</bdi>" in text
    assert "<bdi>shop/api</bdi>" in text
    assert "<summary>1</summary>" in text


def test_the_matches_of_rules_are_computed_once_for_all_windows(held: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 rules and 10,000 repositories take most of a second, and every open window asks every 10 s."""
    matched: list[tuple[str, ...]] = []

    def counted(patterns: tuple[str, ...]) -> Matcher:
        matched.append(patterns)
        return compile_patterns(patterns)

    monkeypatch.setattr(policy, "compile_patterns", counted)
    first = Browser(held).text("/panels/policy/force")
    assert Browser(held).text("/panels/policy/force") == first
    assert len(matched) == 1
    held.heard(event(repository="shop/new"))
    assert "<bdi>shop/new</bdi>" in Browser(held).text("/panels/policy/force")
    assert len(matched) == 2


def test_the_page_says_that_another_policy_is_in_force(edge: Edge) -> None:
    changes = edge.store.policy_changes
    assert changes.begin("in force", "") is None
    changes.note_read("worker@a 1", edge.wiring.policies.digest)
    assert "another policy" not in Browser(edge).text("/panels/policy/force")
    changes.note_read("worker@a 1", "in force")
    assert "this process has read another policy than the one in force" in Browser(edge).text("/panels/policy/force")


def test_the_page_says_why_a_newer_policy_is_not_in_force(serve: ServeEdge, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{keep: {last: 3}}]")
    edge = serve(policy=file)
    file.write_text("rules: [{kep: {last: 3}}]")
    assert "did you mean keep?" in Browser(edge).text("/panels/policy/force")


def test_another_policy_is_tried_and_nothing_changes(held: Edge) -> None:
    browser = Browser(held)
    text = browser.post(TRIAL, policy="rules: [{name: two, keep: {last: 2}}]", repositories="shop/*").text
    assert re.findall(r"<dd>(\d tags?)</dd>", text) == ["2 tags", "1 tag", "0 tags", "1 tag"]
    assert "2 images, " in text
    assert '<a href="/repository/shop/api"><bdi>shop/api</bdi></a>' in text
    today, tried = text.split("<h4>")[1:]
    assert '<bdi>v2</bdi></strong> <span class="status tag ok">kept by the tested policy</span>' in today
    assert "<bdi>v2</bdi>" not in tried
    assert browser.post(TRIAL, policy="rules: [{name: two, keep: none}]").text.count("<bdi>v3</bdi>") == 1
    assert held.wiring.policies.current() == held.wiring.settings.policy


def test_trials_of_policies_leave_threads_for_the_registry(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial may take seconds: a user with the right to read must not hold up notifications with many of them."""
    others: list[TestResponse] = []

    def trying_meanwhile(*_: object) -> tuple[tuple[()], int]:
        others.append(Browser(edge).post(TRIAL, policy="rules: []"))
        return (), 0

    monkeypatch.setattr(policy, "_changes", trying_meanwhile)
    assert Browser(edge).post(TRIAL, policy="rules: []").status_code == 200
    assert [item.status_code for item in others] == [503, 200]
    assert "try again in some seconds" in others[0].text
    assert Browser(edge).post(TRIAL, policy="rules: []").status_code == 200


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"policy": "rules:\n- kep: none"}, "the policy, line 2: rules[0].kep is unknown; did you mean keep?"),
        ({"policy": "rules: ["}, "this is not YAML"),
        ({"policy": "rules: []", "repositories": "!x*"}, "is no glob"),
    ],
)
def test_a_text_that_is_no_policy_is_refused_in_one_sentence(edge: Edge, form: dict[str, str], sentence: str) -> None:
    browser = Browser(edge)
    response = browser.http.post(
        TRIAL, data={"csrf": browser.csrf(), **form}, headers={"Origin": browser.origin, "HX-Request": "true"}
    )
    assert (response.status_code, sentence in response.text.replace("&#39;", "'")) == (409, True)
    assert "<html" not in response.text
