"""The HTTP edge: builds the Flask application from the wiring."""

from flask import Flask

from service.settings import load_settings
from service.web import health, notifications, problems
from service.wiring import Wiring, wire

MAX_BODY_BYTES = 4 * 1024 * 1024


def create_app(wiring: Wiring | None = None) -> Flask:
    """The application. wiring: the collaborators; built from the settings when not given.

    Raises ConfigurationError, before anything is served, when the settings cannot be obeyed.
    """
    wiring = wiring or wire(load_settings(), patient=True)
    app = Flask("pushprune", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    problems.register(app)
    app.register_blueprint(notifications.blueprint(wiring))
    app.register_blueprint(health.blueprint(wiring))
    return app
