"""The body of a request: bounded also when nobody says how long it is, and for the API strictly JSON."""

from typing import Any

from flask import Request
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from service.web.problems import Faulty


class JsonRequest(Request):
    """A request whose JSON is read in one way, whatever its Content-Type says."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body's value, but no text. Raises BadRequest when it is not JSON, RequestEntityTooLarge when it may have
        been cut, and Faulty for a text: flask-openapi would read what is written in it as the body.
        """
        try:
            value = from_json(whole_body(self, cache=cache), allow_inf_nan=False)
        except ValueError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        if isinstance(value, str):
            raise Faulty(["the request must hold a JSON object"])
        return value


def whole_body(request: Request, *, cache: bool = False) -> bytes:
    """The body. Raises RequestEntityTooLarge for one of unknown length that fills the limit: it may have been cut."""
    body = request.get_data(cache=cache)
    if request.content_length is None and len(body) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge
    return body
