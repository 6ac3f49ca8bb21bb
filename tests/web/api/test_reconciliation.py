"""/api/v1/reconciliation: the current and the last reconcile run, and requests for one."""

from typing import Any

from service.domain.history import reconciliation
from tests.support.edge import Edge, ServeEdge
from tests.support.problem import problem


def looked_up(edge: Edge) -> dict[str, Any]:
    response = edge.http.get("/api/v1/reconciliation")
    assert response.status_code == 200
    assert isinstance(response.json, dict)
    return response.json


def test_a_new_installation_has_nothing_to_show(edge: Edge) -> None:
    shown = looked_up(edge)
    assert (shown["running"], shown["queued"], shown["last"]) == (None, None, None)


def test_the_one_under_way_and_the_last_are_shown(edge: Edge) -> None:
    runs = edge.store.reconcile_runs
    runs.request_repositories(["shop/api", "shop/web"], reconciliation.MANUAL)
    runs.compared("shop/api", 5, 2)
    under = looked_up(edge)["running"]
    assert (under["repositories"], under["tags"], under["changed"], under["todo"]) == (1, 5, 2, 1)
    assert (under["whole"], under["reason"]) == (False, reconciliation.MANUAL)
    runs.failed("shop/web", "shop/web: it refuses", for_good=True)
    assert runs.end()
    last = looked_up(edge)["last"]
    assert (last["repositories"], last["failed"], last["message"]) == (1, 1, "shop/web: it refuses")
    assert looked_up(edge)["running"] is None


def test_a_reconcile_run_is_requested_for_all_or_some_repositories(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:5000"})
    answer = edge.http.post("/api/v1/reconciliation", json={})
    assert (answer.status_code, answer.json) == (200, {"reason": f"{reconciliation.MANUAL} (API)"})
    assert edge.store.reconcile_runs.requested() == f"{reconciliation.MANUAL} (API)"
    edge.http.post("/api/v1/reconciliation", json={"repositories": ["shop/api"]})
    assert edge.store.reconcile_runs.waiting(["shop/api"]) == ("shop/api",)


def test_a_name_that_is_no_repository_is_refused(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:5000"})
    answer = edge.http.post("/api/v1/reconciliation", json={"repositories": ["Shop/../x"]})
    status, _ = problem(answer)
    assert (status, "not the name of a repository" in answer.text) == (422, True)


def test_without_a_registry_nothing_can_be_compared(edge: Edge) -> None:
    status, answer = problem(edge.http.post("/api/v1/reconciliation", json={}))
    assert (status, "registry.url" in answer) == (409, True)
