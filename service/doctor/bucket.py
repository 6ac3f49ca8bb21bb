"""Check the storage if it is a bucket."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.finding import Finding, fine

_NAME = "storage"


def check(case: Case) -> Iterator[Finding]:
    """Check that the bucket is the registry's, and that pushprune may do there what it needs."""
    if case.wiring.registry.objects is None:
        yield fine(_NAME, "not checked: storage.path and storage.url are not set")
        return
