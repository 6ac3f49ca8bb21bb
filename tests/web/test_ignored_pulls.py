"""`ignore_pulls`: pulls by scanners and the like are recorded, and do not count as use."""

from typing import Any

import pytest

from service.domain.policy.model import Policy
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import envelope, event, us

IGNORING = Policy(ignore_pulls=("trivy*", "scanner"))


def used(edge: Edge) -> dict[str, float]:
    return dict(edge.redis.zrange(edge.store.connection.keys.of("pulled", "shop/api"), 0, -1, withscores=True))


@pytest.mark.parametrize(
    ("who", "counts"),
    [
        ({"useragent": "docker/29"}, True),
        ({"useragent": "trivy/0.58 (linux)"}, False),
        ({"useragent": "my-trivy/1"}, True),
        ({"actor": "scanner"}, False),
        ({"actor": "scanner-2"}, True),
        ({"useragent": "pushprune/1"}, False),
    ],
)
def test_a_pull_by_those_whom_the_policy_names_is_no_use(serve: ServeEdge, who: dict[str, Any], counts: bool) -> None:
    edge = serve(policy=IGNORING)
    edge.http.post("/notifications", data=envelope(event(at=1), event("pull", at=2, **who)))
    assert used(edge) == ({"v1": us(2)} if counts else {})


def test_an_ignored_pull_is_recorded_nevertheless(serve: ServeEdge) -> None:
    edge = serve(policy=IGNORING)
    edge.http.post("/notifications", data=envelope(event("pull", useragent="trivy/0.58")))
    assert edge.redis.xlen(edge.store.connection.keys.of("pulls")) == 1


def test_without_the_key_every_pull_counts(edge: Edge) -> None:
    edge.http.post("/notifications", data=envelope(event(at=1), event("pull", at=2, useragent="trivy/0.58")))
    assert used(edge) == {"v1": us(2)}


def test_a_push_by_those_counts(serve: ServeEdge) -> None:
    edge = serve(policy=IGNORING)
    edge.http.post("/notifications", data=envelope(event(useragent="trivy/0.58")))
    assert edge.tags() == ["v1"]
