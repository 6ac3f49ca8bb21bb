"""The policy in force, and the schema of one."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.policy.model import schema
from service.web.api.door import door
from service.web.models import Answer
from service.wiring import Wiring

_A_SCHEMA = {"description": "a JSON Schema (2020-12)", "content": {"application/json": {"schema": {"type": "object"}}}}


class PolicyInForce(Answer):
    """The policy in force, where it came from, and why a newer version is not in force."""

    policy: dict[str, Any] | None = Field(
        description="as GET /api/v1/policy/schema describes it, with its defaults written out; durations with "
        "their unit, percentages from 0 to 100; null: there is none, and nothing is deleted"
    )
    digest: str = Field(description="SHA-256 over the policy: equal for equal policies")
    source: str = Field(description="the path of the file that holds it, or `configuration` where no file does")
    error: str | None = Field(description="why what stands there now is not in force; null: it is")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("policy", wiring, documented)

    @pages.get("/policy", responses={HTTPStatus.OK: PolicyInForce})
    def policy() -> Response:
        """The policy in force"""
        return _in_force(wiring).response()

    @pages.get("/policy/schema", responses={HTTPStatus.OK: _A_SCHEMA})
    def policy_schema() -> Response:
        """The JSON Schema of a policy, for editors"""
        return jsonify(schema())

    return (pages,)


def _in_force(wiring: Wiring) -> PolicyInForce:
    policy, source = wiring.policies.current(), wiring.policies
    return PolicyInForce(
        policy=policy.model_dump(mode="json", exclude_none=True) if policy else None,
        digest=source.digest,
        source=str(source.file or "configuration"),
        error=source.complaint,
    )
