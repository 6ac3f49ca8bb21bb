"""/livez: this process answers. /readyz: notifications can be recorded; lists every problem of the system."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify

from service.doctor.health import check_recording, system_health
from service.domain.errors import StoreUnavailable
from service.registry import Registry
from service.settings import PolicySource, Settings
from service.store import Store
from service.web.access import sees_details


def liveness() -> Blueprint:
    """The route /livez, without /readyz."""
    pages = Blueprint("health", __name__)

    @pages.get("/livez")
    def livez() -> Response:
        return jsonify(status="alive")

    return pages


def blueprint(store: Store, registry: Registry, settings: Settings, policies: PolicySource) -> Blueprint:
    """Return the routes that report if the system is alive and ready."""
    pages = liveness()

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """Report the state of the system. The answer is 503 only if events cannot be recorded."""
        # A load balancer stops using a process that answers 503, so no other problem may cause this status.
        try:
            check_recording(store)
            details, code = _details(store, registry, policies), HTTPStatus.OK
        except StoreUnavailable as error:
            details, code = {"status": "not ready", "redis": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE
        # The details contain names of images, addresses and paths: a client without a token must not see them.
        return jsonify(details if sees_details(settings) else {"status": details["status"]}), code

    return pages


def _details(store: Store, registry: Registry, policies: PolicySource) -> dict[str, Any]:
    now = system_health(store, registry, policies)
    waiting = now.reading.waiting
    return {
        "status": "degraded" if now.troubles else "ready",
        "workers": now.reading.workers,
        "queues": now.queues,
        "registry": {True: "answers", False: "does not answer", None: "unknown"}[now.registry],
        "policy": "none: nothing is deleted" if now.policy == "none" else now.policy,
        "backlog": {
            "due": waiting["due"],
            "doomed": waiting["doomed"],
            "oldest_s": round(now.reading.oldest_s, 3),
        },
        "holds": len(now.holds),
        "healing": waiting["healing"],
        "collection": now.collection,
        "troubles": [f"{trouble.about}: {trouble.message}" for trouble in now.troubles],
    }
