"""The report of the last run of the doctor, for the dashboard."""

from collections.abc import Iterable

from service.domain.finding import Finding
from service.store import Store
from service.store.doctor_reports import DoctorReport


def last_report(store: Store) -> DoctorReport | None:
    """Return the last report; None if the doctor did not run within the last week."""
    return store.doctor_reports.last()


def keep_report(store: Store, findings: Iterable[Finding], by: str) -> None:
    """Keep the findings of a run. by: the user who started it."""
    store.doctor_reports.keep(findings, by)
