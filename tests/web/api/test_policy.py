"""/api/v1/policy: the policy in force, where it came from, and why a newer one is not in force."""

from pathlib import Path
from typing import Any

from service.domain.policy.model import Policy, schema
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.health import replace_file
from tests.support.makers import event


def in_force(edge: Edge) -> dict[str, Any]:
    response = edge.http.get("/api/v1/policy")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert isinstance(response.json, dict)
    return response.json


def test_a_policy_of_the_configuration_is_shown_with_its_source(serve: ServeEdge) -> None:
    policy = keep_last(3, grace="1h")
    edge = serve(policy=policy)
    shown = in_force(edge)
    assert Policy.model_validate(shown["policy"]) == policy
    assert shown["policy"]["grace"] == "1h"
    assert (shown["source"], shown["error"]) == ("configuration", None)
    assert shown["digest"] == edge.wiring.policies.digest


def test_the_policy_that_the_api_shows_can_be_previewed(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1))
    edge.heard(event(tag="v1", at=1), event(tag="v2", at=2))
    asked = edge.http.post("/api/v1/preview", json={"policy": in_force(edge)["policy"]})
    assert (asked.status_code, asked.json) == (200, edge.http.get("/api/v1/preview").json)


def test_without_a_policy_there_is_none(edge: Edge) -> None:
    shown = in_force(edge)
    assert (shown["policy"], shown["error"]) == (None, None)


def test_a_policy_in_its_own_file_and_what_it_says_when_it_breaks(serve: ServeEdge, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{keep: {last: 10}}]\n")
    edge = serve(policy=file)
    before = in_force(edge)
    assert (before["source"], before["error"]) == (str(file), None)

    replace_file(file, "rules: [{keep: {lst: 10}}]\n")
    broken = in_force(edge)
    assert (broken["policy"], broken["digest"]) == (before["policy"], before["digest"])
    assert "line 1: rules[0].keep.lst is unknown; did you mean last?" in broken["error"]
    ready = edge.http.get("/readyz").json
    assert ready is not None
    assert ready["policy"] == broken["error"], "everybody says the same sentence"

    replace_file(file, "rules: [{keep: {last: 5}}]\n")
    mended = in_force(edge)
    assert (mended["policy"]["rules"][0]["keep"]["last"], mended["error"]) == (5, None)


def test_the_schema_is_the_domain_s(edge: Edge) -> None:
    response = edge.http.get("/api/v1/policy/schema")
    assert (response.status_code, response.json) == (200, schema())
