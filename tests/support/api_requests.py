"""The routes of the API that only look and those that change, and a request to any of them."""

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

QUERIES = (
    ("GET", "/api/v1/overview"),
    ("GET", "/api/v1/search"),
    ("GET", "/api/v1/usage"),
    ("GET", "/api/v1/repositories"),
    ("GET", "/api/v1/repositories/shop/api/tags"),
    ("GET", "/api/v1/repositories/shop/api/tags/v1/history"),
    ("GET", "/api/v1/repositories/shop/api/events"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/plan"),
    ("GET", "/api/v1/deletions/shop/api"),
    ("GET", "/api/v1/repositories/shop/api/explain"),
    ("GET", "/api/v1/preview"),
    ("POST", "/api/v1/preview"),
    ("GET", "/api/v1/policy"),
    ("GET", "/api/v1/policy/schema"),
    ("GET", "/api/v1/holds"),
    ("GET", "/api/v1/trash"),
    ("GET", "/api/v1/collections"),
    ("GET", "/api/v1/collections/log"),
    ("GET", "/api/v1/reconciliation"),
    ("GET", "/metrics"),
)


CHANGES = (
    ("POST", "/api/v1/deletions"),
    ("POST", "/api/v1/holds/approve"),
    ("POST", "/api/v1/holds/shop/api/approve"),
    ("POST", "/api/v1/holds/shop/api/reject"),
    ("POST", "/api/v1/restorations"),
    ("POST", "/api/v1/protections"),
    ("POST", "/api/v1/collections"),
    ("POST", "/api/v1/collections/undeletions"),
    ("DELETE", "/api/v1/collections"),
    ("POST", "/api/v1/reconciliation"),
)


_BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/preview": {"policy": {}},
    "/api/v1/restorations": {"items": [{"repository": "shop/api", "tag": "v1"}]},
    "/api/v1/protections": {"repository": "shop/api", "tags": ["v1"], "keep_for": "1d"},
    "/api/v1/deletions": {"repository": "shop/api", "tags": ["v1"]},
}


_QUERIES = {"/api/v1/search": "q=v1"}


TOKENS = {"notify": "notify-s3cret", "read": "read-s3cret", "admin": "admin-s3cret"}


def ask(http: FlaskClient, route: tuple[str, str], token: str | None = None, **headers: str) -> TestResponse:
    method, path = route
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    json = _BODIES.get(path, {}) if method == "POST" else None
    as_it_is = {"PATH_INFO": path}  # the client would take //metrics for a host
    return http.open(
        "/", method=method, headers=headers, json=json, query_string=_QUERIES.get(path), environ_overrides=as_it_is
    )
