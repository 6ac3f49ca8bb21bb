"""/livez and /readyz: whether this process lives, and whether it can do its work."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from service import holding
from service.domain.errors import StoreUnavailable
from service.wiring import Wiring


def blueprint(wiring: Wiring) -> Blueprint:
    pages = Blueprint("health", __name__)

    @pages.get("/livez")
    def livez() -> Response:
        return jsonify(status="alive")

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        policy = wiring.policies.current()
        try:
            backlog, workers = wiring.outbox.backlog(), wiring.outbox.workers()
            holds = len(holding.undecided(wiring))
            troubles = [f"{trouble.about}: {trouble.message}" for trouble in wiring.outbox.troubles()]
            under = wiring.garbage.under_way()
            if wiring.policies.complaint:
                troubles.append(f"policy: {wiring.policies.complaint}")
            if not workers:
                troubles.append(
                    "workers: none gave a sign of life for 10 s: start one (celery -A workers.app worker …)"
                )
        except StoreUnavailable as error:
            return jsonify(status="not ready", redis=str(error)), HTTPStatus.SERVICE_UNAVAILABLE
        body = {
            "status": "ready",
            "workers": workers,
            "policy": wiring.policies.complaint or ("in force" if policy else "none: nothing is deleted"),
            "backlog": {"due": backlog.due, "doomed": backlog.doomed, "oldest_s": round(backlog.oldest_s, 3)},
            "holds": holds,
            "healing": wiring.outbox.healing(),
            "collection": under.stage if under else None,
            "trouble": troubles,
        }
        return jsonify(body), HTTPStatus.OK

    return pages
