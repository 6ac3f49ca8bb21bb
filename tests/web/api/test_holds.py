"""/api/v1/holds: plans that wait for approval, and approving one."""

import pytest

from service.domain.timestamps import rfc3339
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.support.problem import problem


@pytest.fixture
def held(serve_over_valkey: ServeEdge) -> Edge:
    """shop/api, whose plan to delete v1 and v2 waits; shop/web, with nothing to do."""
    edge = serve_over_valkey(policy=keep_last(1, hold_over=10, hold_min=1))
    edge.heard(*(event(tag=f"v{number}", at=number) for number in (1, 2, 3)), event(repository="shop/web"))
    history = edge.store.history
    assert history.commit(history.snapshot("shop/api"), edge.wiring.verdicts.plan("shop/api"), "held")
    return edge


def approve(edge: Edge, repository: str = "shop/api") -> tuple[int, object]:
    response = edge.http.post(f"/api/v1/holds/{repository}/approve")
    return response.status_code, response.json


def test_nothing_waits_at_first(edge: Edge) -> None:
    assert edge.http.get("/api/v1/holds").json == {"next": None, "total": 0, "holds": [], "plans": None}


def test_a_plan_that_waits_is_listed_with_its_reason_and_its_images(held: Edge) -> None:
    (shown,) = (held.http.get("/api/v1/holds").json or {})["holds"]
    (hold,) = held.store.approvals.holds()
    assert shown["reason"]
    assert (shown["repository"], shown["reason"], shown["since"]) == ("shop/api", hold.reason, rfc3339(hold.at_us))
    assert sorted(shown["digests"]) == sorted([digest_of("v1"), digest_of("v2")])


def test_plans_are_listed_page_by_page_and_named_together(held: Edge) -> None:
    held.heard(*(event(repository="shop/web", tag=f"v{number}", at=number) for number in (1, 2, 3)))
    history = held.store.history
    assert history.commit(history.snapshot("shop/web"), held.wiring.verdicts.plan("shop/web"), "held")
    first = held.http.get("/api/v1/holds?limit=1").json or {}
    second = held.http.get(f"/api/v1/holds?limit=1&cursor={first['next']}").json or {}
    assert [(answer["holds"][0]["repository"], answer["total"]) for answer in (first, second)] == [
        ("shop/api", 2), ("shop/web", 2),
    ]  # fmt: skip
    assert (second["next"], first["plans"]) == (None, second["plans"])


def test_approving_a_plan_ends_its_hold(held: Edge) -> None:
    assert approve(held) == (200, {"repository": "shop/api", "approved": 2})
    approved = held.store.history.snapshot("shop/api").approved
    assert approved == {digest_of("v1"), digest_of("v2")}
    assert held.wiring.verdicts.plan("shop/api").hold is None


def test_approving_has_the_repository_planned_again(held: Edge) -> None:
    """A plan that was committed as held left nothing due."""
    assert held.redis.zscore(held.store.connection.keys.of("due"), "shop/api") is None
    approve(held)
    assert held.redis.zscore(held.store.connection.keys.of("due"), "shop/api") is not None
    assert held.sent == [("enforce", "shop/api")]


def test_an_approval_without_a_waiting_plan_is_refused(held: Edge) -> None:
    response = held.http.post("/api/v1/holds/shop/web/approve")
    assert problem(response) == (
        409,
        "no plan for 'shop/web' waits for approval; GET /api/v1/holds lists waiting plans",
    )
    assert held.sent == []


def test_a_rejected_plan_is_kept_from_the_approval_of_all_and_says_who_rejected_it(held: Edge) -> None:
    (hold,) = held.store.approvals.holds()
    assert problem(held.http.post("/api/v1/holds/shop/api/reject?plan=another"))[0] == 409
    response = held.http.post("/api/v1/holds/shop/api/reject")
    assert (response.status_code, response.json) == (200, {"repository": "shop/api", "plan": hold.plan, "kept": 2})
    (shown,) = (held.http.get("/api/v1/holds").json or {})["holds"]
    assert shown["rejected_by"] == "API"
    assert problem(held.http.post("/api/v1/holds/approve"))[0] == 409


@pytest.mark.parametrize("name", ["shop", "<script>", "x" * 300, "..", "%2e%2e%2fapi", "'"])
def test_an_unknown_repository_is_not_found(held: Edge, name: str) -> None:
    assert problem(held.http.post(f"/api/v1/holds/{name}/approve"))[0] == 404
    assert held.sent == []
