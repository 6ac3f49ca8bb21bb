"""The base class of the requests of the API, and the problem document of RFC 9457."""

from collections.abc import Mapping
from typing import Any, Self

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from service.answers.base import ApiAnswer
from service.documents.reader import Location, Source
from service.documents.refusal import refusals
from service.web.problems import InvalidRequest


def respond(answer: ApiAnswer) -> Response:
    """Return the answer as a response of JSON."""
    return Response(answer.model_dump_json(), mimetype="application/json")


class ApiRequest(BaseModel):
    """The path, query or body of a request. Raises InvalidRequest if it is invalid.

    Unknown fields are rejected, so that a misspelled field is not ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _refused_in_sentences(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(values, Mapping):
            raise InvalidRequest(["the request must hold a JSON object"])
        try:
            return handler(values)
        except ValidationError as error:
            raise InvalidRequest.of(error, lambda invalid: refusals(invalid, cls, (_RequestValues(values),))) from error


class Problem(ApiAnswer):
    """The reason for which a request was refused (RFC 9457, `application/problem+json`)."""

    type: str = Field(description="always about:blank: the status gives the kind of error")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="one sentence that says what to do")
    faults: tuple[str, ...] = Field(default=(), description="what is wrong with the request: one sentence each")


class _RequestValues(Source):
    """The values of a request, as a refusal names them."""

    def subject(self, location: Location) -> str:
        return super().subject(location) or "the request"
