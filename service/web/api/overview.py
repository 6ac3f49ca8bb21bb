"""The figures of the overview page: amounts, queued work, and problems."""

from http import HTTPStatus
from typing import Literal

from flask import Response
from pydantic import Field

from service.answers.base import ApiAnswer, TimeMs
from service.doctor.components import components
from service.doctor.health import last_report, system_health
from service.domain.timestamps import rfc3339
from service.reconcile.status import overview as reconcile_status
from service.web.api.api_blueprint import Api
from service.web.models import respond
from service.wiring import Wiring


class ReportedTrouble(ApiAnswer):
    """A problem that an operator must fix."""

    about: str = Field(description="the subject, such as a queue and a repository")
    message: str = Field(description="the problem and its fix")
    since: TimeMs = Field(validation_alias="at_ms", description="since when")


class ReportedComponent(ApiAnswer):
    """One component of the system and its state."""

    name: str = Field(
        description="registry, redis, web, workers, queues, notifications, deletions, policy, approvals, collection, "
        "gate, storage or clock"
    )
    state: Literal["ok", "warning", "error", "unknown"] = Field(description="unknown: not checked or not configured")
    message: str = Field(description="the state in one sentence; of a problem, its cause and its fix as well")
    since: TimeMs | None = Field(
        validation_alias="at_ms", description="since when, or the time of the last event or check; null: now"
    )
    fix: str = Field(description="a line to write or run; empty if there is none or the message contains it")


class SystemOverview(ApiAnswer):
    """The state of the whole system at one moment."""

    repositories: int = Field(description="number of known repositories")
    tags: int = Field(description="number of live tags in all repositories")
    doomed: int = Field(description="images and tags that are to be deleted next")
    held: int = Field(description="plans that wait for approval")
    restorable: int = Field(description="deletions that can still be undone")
    events: dict[str, int] = Field(
        description="totals since the first start, by kind: push, pull, delete, duplicate, rejected, deleted, "
        "untagged, healed, lost, restored and others"
    )
    last_event_at: TimeMs | None = Field(description="time of the last recorded event; null: never")
    due: int = Field(description="repositories that wait to be planned")
    deleting: int = Field(description="repositories with images to delete")
    healing: int = Field(description="repositories with tags to check after a deletion")
    oldest_s: float = Field(description="longest delay of these repositories, in seconds")
    workers: int = Field(description="workers seen within the last 10 s")
    queues: dict[str, int] = Field(description="number of workers per message queue, for each queue that needs workers")
    registry: bool | None = Field(
        description="true if the registry is reachable and accepts the credentials; null: unknown"
    )
    policy: str = Field(description="`in force`, `none`, or why the policy file is invalid")
    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    collection: str | None = Field(description="stage of the running collection; null: none is running")
    reconciled_at: TimeMs | None = Field(description="end of the last reconcile run; null: never")
    troubles: tuple[ReportedTrouble, ...] = Field(description="problems that an operator must fix")
    components: tuple[ReportedComponent, ...] = Field(description="every component of the system with its state")


def add(api: Api, wiring: Wiring) -> None:
    pages = api.resource("overview")

    @pages.get("/overview", responses={HTTPStatus.OK: SystemOverview})
    def overview() -> Response:
        """Return the state of the system: amounts, queued work, and problems"""
        return respond(_overview(wiring))


def _overview(wiring: Wiring) -> SystemOverview:
    now, totals = system_health(wiring.store, wiring.registry, wiring.policies), wiring.inventory.totals()
    reading, last = now.reading, reconcile_status(wiring.store, wiring.registry, wiring.settings).last
    return SystemOverview(
        repositories=totals.repositories,
        tags=totals.tags,
        doomed=totals.doomed,
        held=totals.held,
        restorable=now.restorable,
        events={name: n for name, n in reading.counters.items() if not name.startswith("rule ")},
        last_event_at=None if reading.last_event_ms is None else rfc3339(reading.last_event_ms * 1000),
        due=reading.waiting["due"],
        deleting=reading.waiting["doomed"],
        healing=reading.waiting["healing"],
        oldest_s=round(reading.oldest_s, 3),
        workers=reading.workers,
        queues=now.queues,
        registry=now.registry,
        policy=now.policy,
        dry_run=wiring.verdicts.is_dry(),
        collection=now.collection,
        reconciled_at=rfc3339(last.at_ms * 1000) if last else None,
        troubles=tuple(map(ReportedTrouble.model_validate, now.troubles)),
        components=tuple(map(ReportedComponent.model_validate, components(now, last_report(wiring.store)))),
    )
