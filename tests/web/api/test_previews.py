"""/api/v1/preview: the tags that would be deleted now, by the policy in force or by another."""

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.domain.policy.patterns import compile_expression, selector_of
from service.web import trials
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.support.problem import problem
from tests.web.pages.browser import Browser

KEEP_1 = {"rules": [{"name": "one", "keep": {"last": 1}}]}


@pytest.fixture
def shop(serve_over_valkey: ServeEdge) -> Edge:
    """Three tags in shop/api and one in shop/web; two of each repository are kept."""
    edge = serve_over_valkey(policy=keep_last(2))
    edge.heard(*(event(tag=f"v{number}", at=number) for number in (1, 2, 3)), event(repository="shop/web"))
    return edge


def previews(response: TestResponse) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.json is not None
    result = {item["repository"]: item for item in response.json["repositories"]}
    assert len(result) == len(response.json["repositories"]), "each once"
    return result


def ask(edge: Edge, **body: Any) -> TestResponse:
    return edge.http.post("/api/v1/preview", json=body)


def gone(preview: dict[str, Any]) -> list[str]:
    return [row["tag"] for row in preview["deletions"]]


def test_a_preview_shows_the_deletions_of_the_policy_in_force(shop: Edge) -> None:
    result = previews(shop.http.get("/api/v1/preview"))
    (deletion,) = result["shop/api"].pop("deletions")
    message = [deletion[name] for name in ("tag", "digest", "verdict", "reason", "rule", "size_bytes")]
    assert message == ["v1", digest_of("v1"), "delete", "older than the newest 2 (rule last)", "last", None]
    share = {"name": "last", "tags": 1, "digests": 1, "size_bytes": 0, "unsized": 1}
    nothing: dict[str, Any] = {"of_unknown_age": [], "rules": [], "hold": None, "unread": []}
    nothing |= {"freed_bytes": 0, "freed_at_most": False, "freed_unknown": 0}
    unknown = {"freed_bytes": None, "freed_at_most": True, "freed_unknown": 1}
    assert result == {
        "shop/api": {**nothing, "repository": "shop/api", "rules": [share], **unknown},
        "shop/web": {**nothing, "repository": "shop/web", "deletions": []},
    }


def test_a_preview_has_only_the_requested_repositories_each_once(shop: Edge) -> None:
    assert list(previews(shop.http.get("/api/v1/preview?repository=shop/web"))) == ["shop/web"]
    twice = "/api/v1/preview?repository=shop/web&repository=shop/api&repository=shop/web"
    assert list(previews(shop.http.get(twice))) == ["shop/web", "shop/api"]


def test_a_preview_shows_the_deletions_of_another_policy(shop: Edge) -> None:
    result = previews(ask(shop, policy=KEEP_1))
    assert sorted(gone(result["shop/api"])) == ["v1", "v2"]
    assert result["shop/api"]["rules"] == [{"name": "one", "tags": 2, "digests": 2, "size_bytes": 0, "unsized": 2}]


def test_a_preview_of_another_policy_has_only_the_requested_repositories(shop: Edge) -> None:
    assert list(previews(ask(shop, policy=KEEP_1, repositories=["shop/api"]))) == ["shop/api"]
    assert list(previews(ask(shop, policy=KEEP_1, repositories=None))) == ["shop/api", "shop/web"]
    assert list(previews(ask(shop, policy=KEEP_1, repositories=[]))) == []


def test_an_answer_says_if_the_policy_is_a_dry_run(shop: Edge, serve_over_valkey: ServeEdge) -> None:
    assert (shop.http.get("/api/v1/preview").json or {})["dry_run"] is False
    assert (ask(shop, policy={**KEEP_1, "dry_run": True}).json or {})["dry_run"] is True
    dry = serve_over_valkey(policy=keep_last(2, dry_run=True))
    assert (dry.http.get("/api/v1/preview").json or {})["dry_run"] is True


def test_a_preview_names_the_manifests_that_must_be_read_first(shop: Edge) -> None:
    shop.heard(event(tag="multi", media_type="application/vnd.oci.image.index.v1+json", at=9))
    assert previews(shop.http.get("/api/v1/preview"))["shop/api"]["unread"] == [digest_of("multi")]


def test_a_preview_changes_nothing_in_redis(shop: Edge) -> None:
    def state() -> dict[str, bytes]:
        client = shop.redis
        return {key: client.dump(key) for key in client.scan_iter(match=f"{shop.store.connection.keys.prefix}*")}

    before = state()
    ask(shop, policy={"rules": [{"keep": "none"}]})
    shop.http.get("/api/v1/preview")
    assert (state(), shop.sent) == (before, [])


@pytest.mark.parametrize("name", ["shop", "", "<script>", "\u202e", "x" * 300, "..", "'\""])
def test_an_unknown_repository_is_not_found(shop: Edge, name: str) -> None:
    sentence = (404, f"no repository {name!r} is known")
    assert problem(shop.http.get("/api/v1/preview", query_string={"repository": ["shop/api", name]})) == sentence
    assert problem(ask(shop, policy=KEEP_1, repositories=["shop/api", name])) == sentence


@pytest.mark.parametrize(
    ("policy", "faults"),
    [
        ({"rules": [{"keep": {"lst": 10}}]}, ["rules[0].keep.lst is unknown; did you mean last?"]),
        ({"rules": [{"tags": ["*"]}]}, ["rules[0] needs keep"]),
        ({"rules": [{"kep": 1, "keep": "none"}, {"keep": {"last": 0}}]},
         ["rules[0].kep is unknown; did you mean keep?", "rules[1].keep.last must be at least 1"]),
        ({"protect": ["re:("]}, None),
        ({"rules": [{"tags": ["re:("], "keep": "none"}]}, None),
        ({"rules": [{"name": "a", "keep": "none"}, {"name": "a", "keep": "none"}]},
         ["rules[1].name: two rules are called 'a'; give each its own name"]),
        ({"rules": 5}, ["rules must be a list"]),
        ({"\u202e<script>": 1}, None),
        ({"grace": "soon"}, None),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_obeyed_is_refused_by_each_fault(
    edge: Edge, policy: dict[str, Any], faults: list[str] | None
) -> None:
    response = ask(edge, policy=policy)
    status, detail = problem(response)
    assert response.json is not None
    result = response.json["faults"]
    assert (status, detail.startswith(result[0])) == (422, True)
    assert result == faults if faults else len(result) == 1


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ({"rules": [{"keep": "none", "tags": ["[" * 90_000]}]},
         "rules[0].tags[0] must be at most 512 characters long"),
        ({"rules": [{"keep": "none", "repos": "[" * 513}]}, "rules[0].repos must be at most 512 characters long"),
        ({"rules": [{"keep": "none", "group": "(" * 90_000}]}, "rules[0].group must be at most 512 characters long"),
        ({"rules": [{"keep": "none", "group": "(a)" * 100}]},
         "rules[0].group: " + repr("(a)" * 100) + " captures 100 parts; 10 are the most"),
        ({"protect": ["a"] * 1001}, "protect must hold at most 1000"),
        ({"rules": [{"keep": "none"}] * 1001}, "rules must hold at most 1000"),
        ({"protect": [r"re:(\pL{100}){3}"]},
         r"protect[0]: 're:(\\pL{100}){3}' is no regular expression that RE2 understands: pattern too large"),
    ],
)  # fmt: skip
def test_a_policy_that_would_take_long_to_read_is_refused(edge: Edge, policy: dict[str, Any], fault: str) -> None:
    status, detail = problem(ask(edge, policy=policy))
    assert (status, detail.removesuffix(" - compile failed")) == (422, fault)


@pytest.mark.parametrize(
    "question",
    [{"policy": {"rules": [{"kep": 1}] * 900}}, {"policy": {str(n): 1 for n in range(8_000)}},
     {"policy": {}, "repositories": [1] * 50_000}],
)  # fmt: skip
def test_more_faults_than_anybody_reads_are_only_counted(edge: Edge, question: dict[str, Any]) -> None:
    """The time to describe each fault grows with the square of their number."""
    status, detail = problem(ask(edge, **question))
    assert (status, detail.endswith(" faults, too many to name")) == (422, True)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "the request needs policy"),
        ({"policy": None}, "policy"),
        ({"policy": "policy.yaml"}, "policy"),
        ({"policy": {}, "repository": ["shop/api"]}, "repository is unknown; did you mean repositories?"),
        ({"policy": {}, "repositories": "shop/api"}, "repositories must be a list"),
        ({"policy": {}, "repositories": [1]}, "repositories[0] must be text"),
        ([], "the request must hold a JSON object"),
        (None, "the request must hold a JSON object"),
        (5, "the request must hold a JSON object"),
    ],
)
def test_a_question_that_cannot_be_understood_is_refused(edge: Edge, body: Any, sentence: str) -> None:
    status, detail = problem(edge.http.post("/api/v1/preview", data=json.dumps(body)))
    assert (status, detail.startswith(sentence)) == (422, True), detail


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"\xff", b'{"policy": NaN}', b"[" * 100_000, b'{"policy": ' * 5000, b'{"policy": {}, "x": "\\ud800"}'],
)
def test_a_body_that_is_no_json_is_refused(edge: Edge, body: bytes) -> None:
    status, detail = problem(edge.http.post("/api/v1/preview", data=body))
    assert (status, detail.startswith("the body is not JSON: ")) == (400, True)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "application/x-www-form-urlencoded"])
def test_a_question_is_read_whatever_its_content_type(edge: Edge, content_type: str) -> None:
    body = json.dumps({"policy": {}, "repositories": []})
    response = edge.http.post("/api/v1/preview", data=body, content_type=content_type)
    assert (response.status_code, response.json) == (200, {"dry_run": False, "repositories": []})


class TestWhatTryingAPolicyCosts:
    """A token that only reads must not use up processor and memory."""

    def test_more_patterns_than_may_be_tried_are_refused_before_they_are_compiled(self, shop: Edge) -> None:
        compile_expression.cache_clear()
        rules = [{"keep": "none", "tags": [f"re:{rule}-{at}" for at in range(900)]} for rule in range(3)]
        status, message = problem(ask(shop, policy={"rules": rules}))
        assert (status, "more than 2000 patterns" in message) == (413, True)
        assert not compile_expression.cache_info().currsize

    def test_a_policy_that_is_longer_than_may_be_tried_is_refused(self, shop: Edge) -> None:
        status, message = problem(ask(shop, policy={f"k{number}": "x" * 100 for number in range(1000)}))
        assert (status, "more than 100 kB" in message) == (413, True)

    @pytest.mark.parametrize("policy", [{"rules": 1}, {"rules": [1, None]}, {"protect": 1}, {"rules": [{"tags": {}}]}])
    def test_a_text_that_is_no_policy_is_refused(self, shop: Edge, policy: dict[str, Any]) -> None:
        assert problem(ask(shop, policy=policy))[0] == 422

    def test_no_more_than_two_previews_are_computed_at_once_by_api_and_dashboard_together(self, shop: Edge) -> None:
        form = {"policy": "rules: []"}
        with shop.http.application.app_context(), trials.turn(), trials.turn():
            message = ask(shop, policy=KEEP_1)
            assert (message.status_code, message.headers["Retry-After"]) == (503, "5")
            assert shop.http.get("/api/v1/preview").status_code == 503
            assert Browser(shop).post("/panels/policy/trial", **form).status_code == 503
            assert shop.http.post("/notifications", json={"events": []}).status_code == 200
        assert ask(shop, policy=KEEP_1).status_code == 200

    def test_a_preview_that_takes_too_long_is_given_up(self, shop: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trials, "PATIENCE_S", -1.0)
        status, message = problem(ask(shop, policy=KEEP_1))
        assert (status, "name fewer repositories" in message) == (503, True)

    def test_a_single_repository_cannot_take_longer_than_the_limit(
        self, shop: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trials, "in_time", lambda names: names)
        monkeypatch.setattr(trials, "PATIENCE_S", -1.0)
        assert problem(ask(shop, policy=KEEP_1))[0] == 503

    def test_nothing_of_a_tried_policy_is_remembered(self, shop: Edge) -> None:
        assert ask(shop, policy={"rules": [{"keep": {"last": 1}, "tags": ["re:^v"]}]}).status_code == 200
        assert not compile_expression.cache_info().currsize
        assert not selector_of.cache_info().currsize
