"""The requests that the first contact with an old registry costs: exact bounds, on any machine."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.reconcile.run import continue_run
from tests.conftest import keep_last
from tests.support.system import Make

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("mounted", [True, False])
def test_the_first_contact_with_eight_repositories_takes_few_requests(
    make_system: Make, tmp_path: Path, mounted: bool
) -> None:
    disk = {"disk": tmp_path / "registry"} if mounted else {}
    settings: dict[str, Any] = {"storage": {"path": str(tmp_path / "registry")}} if mounted else {}
    policy = keep_last(10, first_plan="apply")
    system = make_system(policy, "2.8", disk, reconcile={"late": "60s" if mounted else "0s"}, **settings)
    names = [f"shop/app{number}" for number in range(8)]
    system.deaf = True
    for name in names:
        for day in range(14):
            system.registry.push_image(name, f"v{day}", at=FIRST + timedelta(days=day))
    system.deaf = False
    system.missed.clear()
    system.store.reconcile_runs.request("start")
    for _ in range(4):
        continue_run(system.wiring)
    for name in names:
        system.later(name, 1)
    system.settle()
    assert [len(system.tags(name)) for name in names] == [10] * 8
    made = Counter(f"{request.method} {request.status}" for request in system.registry.requests)
    # The catalog; two lists of tags and the manifests of each repository; without the storage also the dates of images.
    # The events of our own requests are the first ones of the registry. They count as its restart, so that the first
    # repository is compared again: one list, 14 tags.
    assert made == {
        "GET 200": 1 + 8 * (2 + 14) + 1 + (0 if mounted else 8 * 14),
        "HEAD 304": 32 + 14,
        "DELETE 202": 32,
    }
