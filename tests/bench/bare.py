"""The view that ingest is compared with: Flask answering the same JSON, and nothing else."""

import os

from flask import Flask, Response, jsonify

from service.web import server
from service.web.pools import THREADS, thread_pool


def create_app() -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/notifications")
    def notifications() -> Response:
        return jsonify(recorded=1, duplicates=0, rejected=[])

    return app


if __name__ == "__main__":
    server.stop_on_signals()
    pools = {"": thread_pool(THREADS)}
    server.DeadlineServer(create_app(), server.listening(os.environ["PUSHPRUNE_LISTEN"]), pools).run()
