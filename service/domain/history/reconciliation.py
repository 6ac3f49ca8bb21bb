"""A reconcile run: the history compared with the whole registry, or with some of its repositories."""

from dataclasses import dataclass

FIRST_START = "first start"
REGISTRY_RESTARTED = "the registry restarted"
REDIS_RESTARTED = "Redis restarted"
MANUAL = "requested manually"

# The advice for a registry that does not list its repositories.
NAME_THEM = "let registry.username read the catalog, or name the repositories in reconcile.repositories"

# A run for one of these reasons skips repositories that were already compared since the restart.
AT_A_START = frozenset({FIRST_START, REGISTRY_RESTARTED, REDIS_RESTARTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileTally:
    """The figures of a reconcile run.

    Attributes:
        whole: True for a run over all repositories.
        repositories: number of compared repositories.
        tags: number of compared tags.
        changed: number of tags in which the history differed from the registry.
        failed: number of repositories that could not be compared.
        catalog: why only known or configured repositories were compared; "" if the catalog was read.
        message: the last failure; "" if there was none.
    """

    reason: str
    whole: bool
    repositories: int
    tags: int
    changed: int
    failed: int
    catalog: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRun(ReconcileTally):
    """A reconcile run that is in progress.

    Attributes:
        listed: True once the catalog was read to its end.
        cursor: the last repository read from the catalog.
        todo: number of repositories that are still to be compared.
    """

    since_ms: int
    listed: bool
    cursor: str
    todo: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult(ReconcileTally):
    """A reconcile run that ended at at_ms."""

    at_ms: int
    took_ms: int


def why(before: str | None, now: str) -> str | None:
    """Return why all repositories must be compared in the current epoch, or None if they need not be.

    Args:
        before: the epoch of the last run over all repositories, as "RUN:RESTARTS"; None if there was no run yet.
        now: the current epoch.
    """
    if before is None:
        return FIRST_START
    if before == now:
        return None
    run, _, restarts = now.rpartition(":")
    run_before, _, restarts_before = before.rpartition(":")
    return REDIS_RESTARTED if run != run_before and restarts == restarts_before else REGISTRY_RESTARTED
