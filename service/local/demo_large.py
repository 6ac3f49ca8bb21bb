"""`pushprune demo --large`: the dashboard of a busy company, whose days are recorded within a minute.

Only the records are real. No registry runs, no image exists, and nothing is deleted anywhere.
"""

import os
import time
from collections.abc import Iterator

from rich.console import Console

from service.clock import now_us
from service.local.company import DAY_US, Company, pushes
from service.local.company_player import CompanyPlayer, batches
from service.local.company_times import CompanyTimes
from service.local.demo import logged, stay_up, undisturbed
from service.local.supervisor import Supervisor, stopping_on_signals
from service.local.up import PreparedSystem, UpOptions, prepared
from service.wiring import Wiring, wire

KEEP_LAST, DAYS = 10, 14
_REPOSITORIES_OF_A_JOB = 25


def demo_large(console: Console, *, repositories: int, once: bool) -> None:
    """Record the days of a company; with `once` end after it, else serve the dashboard until Ctrl-C.

    Raises:
        PushpruneError: something could not be started.
    """
    jobs = max(1, repositories // _REPOSITORIES_OF_A_JOB)
    company = Company(repositories=repositories, jobs=jobs, days=DAYS)
    with logged(console) as (folder, transcript):
        options = UpOptions(
            listen="127.0.0.1:0",
            data=folder / "data",
            keep_last=KEEP_LAST,
            applies_first_plan=True,
            needs_registry=False,
            more={
                # A repository that no registry has shown counts as unseen.
                "PUSHPRUNE_HISTORY__UNSEEN_REPOSITORIES": str(repositories + 1),
                # The company reports pushes of days ago.
                "PUSHPRUNE_RECONCILE__LATE": f"{DAYS}d",
                "PUSHPRUNE_LOG__LEVEL": "warning",
            },
        )
        supervisor = Supervisor(transcript)
        with prepared(options, undisturbed(os.environ)) as system, stopping_on_signals(supervisor), supervisor:
            system.start_redis(supervisor)
            _fill(console, system, company)
            # A worker would delete at a registry what the company deletes here.
            system.start_service(supervisor)
            if not once:
                console.print("\nStill up: Ctrl-C ends and removes all. Open the dashboard:")
                stay_up(console, transcript, supervisor, system)


def _fill(console: Console, system: PreparedSystem, company: Company) -> None:
    wiring, begun_s = wire(system.settings), time.monotonic()
    console.print(
        f"a company of {company.repositories:,} repositories, whose CI builds {company.jobs * company.builds:,} images "
        f"a day; the policy keeps the last {KEEP_LAST} of each repository"
    )
    deleted = 0
    with console.status("recording") as status:
        for day, count in _played(wiring, company):
            deleted += count
            status.update(f"recording day {day} of {company.days:g}")
    names = wiring.store.history.repositories()
    tags = sum(map(wiring.store.history.count_tags, names))
    console.print(
        f"recorded {company.days:g} days in {time.monotonic() - begun_s:.0f} s: {tags:,} tags in {len(names):,} "
        f"repositories, {deleted:,} images deleted"
    )
    console.print(
        "Only these records are real: no registry runs, no image exists, and nothing is deleted anywhere. "
        "So deletions, restores and collections that you request on the dashboard cannot be made."
    )


def _played(wiring: Wiring, company: Company) -> Iterator[tuple[int, int]]:
    """Play the company; yield the day and the number of deleted images of each batch."""
    player, times, end_us = CompanyPlayer(wiring), CompanyTimes(), now_us()
    for batch in batches(pushes(company, end_us)):
        times.begin(batch[-1].at_us)
        yield round(company.days - (end_us - batch[-1].at_us) / DAY_US + 0.5), player.enforce(player.record(batch))
    player.drop_messages()
    times.move(wiring.store.connection, wiring.store.history.repositories())
