"""The view that ingest is compared with: Flask answering the same JSON, and nothing else."""

from flask import Flask, Response, jsonify


def create_app() -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/notifications")
    def notifications() -> Response:
        return jsonify(recorded=1, duplicates=0, rejected=[])

    return app
