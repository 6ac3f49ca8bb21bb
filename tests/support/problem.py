"""A reader of problem documents."""

import json

from werkzeug.test import TestResponse


def problem(response: TestResponse) -> tuple[int, str]:
    """Status and sentence of a problem document, after a look at its form (RFC 9457)."""
    assert response.mimetype == "application/problem+json"
    document = json.loads(response.data)
    assert set(document) - {"faults"} == {"type", "title", "status", "detail"}
    assert document["status"] == response.status_code
    assert "Traceback" not in response.text
    return response.status_code, document["detail"]
