"""Build the Flask applications of the HTTP edge from the wiring."""

from typing import Any

from flask import Response
from flask_openapi.openapi import OpenAPI

from service import __version__
from service.collect.gatekeeper import Gatekeeper
from service.settings import load_settings
from service.web import access, api, docs, gate, health, metrics, pages, problems, session, trials
from service.web.body import JsonRequest
from service.web.description import described
from service.web.models import Problem
from service.web.notifications import RECEIVE, Notifications
from service.web.problems import MAX_BODY_BYTES
from service.web.proxy import Proxied
from service.wiring import Wiring, wire

_ABOUT = (
    "Keeps private Docker registries small. With tokens set, send `Authorization: Bearer <token>`: tokens.read may "
    "read, tokens.admin may also change. Times are RFC 3339 in UTC; other fields name their unit, such as size_bytes."
)


def create_app(wiring: Wiring | None = None) -> OpenAPI:
    """Build the application of the web process.

    Args:
        wiring: the collaborators; built from the settings if not given.

    Raises:
        ConfigurationError: the settings cannot be obeyed. Raised before any request is served.
    """
    wiring = wiring or wire(load_settings(), patient=True)
    app = _bare()
    problems.register(app)
    trials.register(app)
    access.register(app)
    app.register_blueprint(health.blueprint(wiring.store, wiring.registry, wiring.settings, wiring.policies))
    app.register_blueprint(metrics.blueprint(wiring.store, wiring.registry, wiring.settings, wiring.policies))
    api.register(app, wiring, documented=False)
    app.register_blueprint(docs.blueprint(lambda: _document(wiring), wiring.store, wiring.settings))
    session.register(app, wiring.settings)
    pages.register(app, wiring)
    notifications = Notifications(app.wsgi_app, wiring.store, wiring.settings, wiring.policies)
    app.extensions[RECEIVE] = notifications.receive
    app.wsgi_app = Proxied(notifications, wiring.settings.web)  # type: ignore[method-assign]
    return app


def create_gate(wiring: Wiring | None = None, *, is_only: bool = False) -> OpenAPI:
    """Build the application of the gate process, which answers only the proxy in front of the registry.

    is_only: no other gate process runs.
    """
    wiring = wiring or wire(load_settings(), patient=True)
    app = _bare()
    problems.register(app)
    app.register_blueprint(gate.blueprint(wiring.settings, Gatekeeper(wiring.store, wiring.settings, is_only=is_only)))
    app.register_blueprint(health.liveness())
    return app


def _document(wiring: Wiring) -> dict[str, Any]:
    # A second application, that serves no request, writes the document: the web process starts faster without it.
    app = _bare()
    api.register(app, wiring, documented=True)
    return described(app.api_doc)


def _bare() -> OpenAPI:
    """Build an application without routes. The application never redirects (safety rule 10)."""
    app = OpenAPI(
        "pushprune",
        info={"title": "pushprune", "version": __version__, "description": _ABOUT},
        security_schemes={"token": {"type": "http", "scheme": "bearer"}},
        validation_error_model=Problem,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.request_class = JsonRequest
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    # The defaults of these two redirect, and the registry would send its token to the new address as well.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.after_request(_forbid_sniffing)
    return app


def _forbid_sniffing(response: Response) -> Response:
    # Many answers contain text from a registry or a client: a browser must not run such text as HTML.
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
