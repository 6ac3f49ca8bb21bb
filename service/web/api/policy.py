"""The current policy, and the JSON Schema of policies."""

from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from pydantic import Field

from service.answers.base import ApiAnswer
from service.domain.policy.model import schema
from service.settings import PolicySource
from service.web.api.api_blueprint import Api
from service.web.models import respond

_A_SCHEMA = {"description": "a JSON Schema (2020-12)", "content": {"application/json": {"schema": {"type": "object"}}}}


class PolicyInForce(ApiAnswer):
    """The current policy, its source, and the reason why a newer version is not active."""

    policy: dict[str, Any] | None = Field(
        description="as described by GET /api/v1/policy/schema, with all defaults; durations with "
        "their unit, percentages from 0 to 100; null: there is no policy, and nothing is deleted"
    )
    digest: str = Field(description="SHA-256 of the policy: equal for equal policies")
    source: str = Field(description="path of the policy file, or `configuration` if the policy is in the configuration")
    error: str | None = Field(description="why the latest version at the source is not active; null: it is active")


def add(api: Api, policies: PolicySource) -> None:
    pages = api.resource("policy")

    @pages.get("/policy", responses={HTTPStatus.OK: PolicyInForce})
    def policy() -> Response:
        """Return the current policy"""
        return respond(_in_force(policies))

    @pages.get("/policy/schema", responses={HTTPStatus.OK: _A_SCHEMA})
    def policy_schema() -> Response:
        """Return the JSON Schema of policies, for editors"""
        return jsonify(schema())


def _in_force(policies: PolicySource) -> PolicyInForce:
    policy, source = policies.current(), policies
    return PolicyInForce(
        policy=policy.model_dump(mode="json", exclude_none=True) if policy else None,
        digest=source.digest,
        source=str(source.file or "configuration"),
        error=source.complaint,
    )
