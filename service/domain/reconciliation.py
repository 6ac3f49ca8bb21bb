"""A walk: one look at the whole registry, or at some of its repositories, compared with the history."""

from dataclasses import dataclass

FIRST_START = "first start"
REGISTRY_RESTARTED = "the registry restarted"
REDIS_RESTARTED = "Redis restarted"
BY_HAND = "asked for by hand"

# What to do where the registry does not list its repositories.
NAME_THEM = "let registry.username read the catalog, or name the repositories in reconcile.repositories"

# What such a walk finds compared already since then is not compared again.
AT_A_START = frozenset({FIRST_START, REGISTRY_RESTARTED, REDIS_RESTARTED})


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk under way. whole: over all repositories; listed: every one of them is known by now; cursor: the last read.

    todo: repositories that are still to be compared; repositories, tags: those that were; changed: tags in which the
    history differed; failed: repositories that could not be compared; catalog: what the registry said of its catalog.
    """

    reason: str
    since_ms: int
    whole: bool
    listed: bool
    cursor: str
    todo: int
    repositories: int
    tags: int
    changed: int
    failed: int
    catalog: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Walked:
    """A walk that ended at at_ms. catalog: why repositories are only those known or configured, "" where it was read.

    message: of the last failure, "" where there was none.
    """

    at_ms: int
    took_ms: int
    reason: str
    whole: bool
    repositories: int
    tags: int
    changed: int
    failed: int
    catalog: str
    message: str


def why(before: str | None, now: str) -> str | None:
    """Why an epoch ("RUN:RESTARTS") calls for a walk over everything, or None. before: the epoch of the last one."""
    if before is None:
        return FIRST_START
    if before == now:
        return None
    run, _, restarts = now.rpartition(":")
    run_before, _, restarts_before = before.rpartition(":")
    return REDIS_RESTARTED if run != run_before and restarts == restarts_before else REGISTRY_RESTARTED
