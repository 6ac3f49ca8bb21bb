"""The browser of the tests of pages: keeps cookies, sends its origin, and submits the fields of forms."""

import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.edge import Edge

HOST = "localhost"
TOKENS = {"notify": "n0tify-0123456789", "read": "r3ad-0123456789ab", "admin": "adm1n-0123456789a"}


class Browser:
    """A browser for the pages of one edge."""

    def __init__(self, edge: Edge, token: str = "", origin: str = f"http://{HOST}") -> None:
        self.edge = edge
        self.http: FlaskClient = edge.http.application.test_client()
        self.origin = origin
        if token:
            assert self.sign_in(token).status_code == 303

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.http.get(path, **more)

    def panel(self, path: str) -> TestResponse:
        """Request a panel as htmx does."""
        return self.http.get(path, headers={"HX-Request": "true"})

    def text(self, path: str) -> str:
        """The page, or its panel where the path is that of one."""
        response = self.panel(path) if path.startswith("/panels/") else self.get(path)
        assert response.status_code == 200, response.text
        return response.text

    def csrf(self) -> str:
        """The CSRF token of this session's forms."""
        result = re.search(r'name="csrf" value="([^"]+)"', self.get("/login").text + self.get("/").text)
        if result:
            return result[1]
        with self.http.session_transaction() as session:
            return str(session["csrf"])

    def post(self, path: str, **form: Any) -> TestResponse:
        """Send a form of the dashboard."""
        return self.http.post(path, data={"csrf": self.csrf(), **form}, headers={"Origin": self.origin})

    def sign_in(self, token: str, **more: str) -> TestResponse:
        return self.post("/login", token=token, **more)

    def said(self, response: TestResponse) -> str:
        """The address that a change leads back to."""
        assert response.status_code == 303, response.text
        return self.get(response.headers["Location"]).text
