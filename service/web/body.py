"""The body of a request: limited in size even without a Content-Length, and strictly JSON for the API."""

from typing import Any

from flask import Request
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.wrappers import Request as AnyRequest

from service.web.problems import InvalidRequest


class JsonRequest(Request):
    """A request whose body is read as JSON, whatever its Content-Type is."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the JSON value of the body, never a string.

        Raises:
            BadRequest: the body is not JSON.
            RequestEntityTooLarge: the body may have been cut.
            InvalidRequest: the value is a string.
        """
        try:
            value = from_json(whole_body(self, cache=cache), allow_inf_nan=False)
        except ValueError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        # flask-openapi would parse a string once more, and take its content for the body.
        if isinstance(value, str):
            raise InvalidRequest(["the request must hold a JSON object"])
        return value


def whole_body(request: AnyRequest, *, cache: bool = False) -> bytes:
    """Return the body.

    Raises:
        RequestEntityTooLarge: the body has no stated length and fills the limit.
    """
    body = request.get_data(cache=cache)
    # Without a Content-Length werkzeug cuts the body at the limit, without an error.
    if request.content_length is None and len(body) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge
    return body
