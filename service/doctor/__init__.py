"""The doctor: check the running system, and report every problem with one line that fixes it.

Each file checks one part of the system. Checks do not depend on each other; a check that fails is itself a finding.
"""

from collections.abc import Callable, Iterable, Iterator

from service.doctor import (
    collection,
    gate,
    history,
    notifications,
    policy,
    redis,
    registry,
    storage,
    web,
    webhooks,
    workers,
)
from service.doctor.case import AGAIN, ONCE_FIXED, REPOSITORY, Case, open_case
from service.domain.errors import PushpruneError, RegistryUnavailable, StorageUnavailable, StoreUnavailable
from service.domain.finding import Finding, error, warning

__all__ = ["CHECKS", "NOT_CHECKED", "ONCE_FIXED", "REPOSITORY", "Case", "examine", "open_case"]

Check = Callable[[Case], Iterable[Finding]]

NOT_CHECKED = "not checked: "

# In this order, as the later parts need the earlier ones: the first error often explains the others.
CHECKS: dict[str, Check] = {
    "redis": redis.check,
    "registry": registry.check,
    "deletes": registry.check_deletes,
    "catalog": registry.check_catalog,
    "listing": registry.check_listing,
    "cache": registry.check_cache,
    "clocks": registry.check_clocks,
    "web": web.check,
    "notifications": notifications.check,
    "workers": workers.check,
    "troubles": workers.check_troubles,
    "history": history.check,
    "gate": gate.check,
    "policy": policy.check,
    "garbage": collection.check,
    "storage": storage.check,
    "webhooks": webhooks.check,
}


# The catalog of a large registry on object storage may take longer than other answers.
_SLOW = frozenset({"catalog"})


def examine(case: Case, begin: Callable[[str], object] = lambda name: None) -> Iterator[Finding]:
    """Make every check, and yield its findings.

    Args:
        begin: called with the name of each check before its start.
    """
    for name, check in CHECKS.items():
        begin(name)
        yield from _found(name, check, case)


def _is_of_one_request(away: RegistryUnavailable) -> bool:
    """Return True if the registry may answer other requests."""
    return away.is_fault or isinstance(away, StorageUnavailable)


def _found(name: str, check: Check, case: Case) -> tuple[Finding, ...]:
    try:
        return tuple(check(case))
    except (StoreUnavailable, RegistryUnavailable) as away:
        if isinstance(away, RegistryUnavailable) and name not in _SLOW and not _is_of_one_request(away):
            case.note_unavailable(away)
        return (warning(name, f"{NOT_CHECKED}{away}", ONCE_FIXED),)
    except PushpruneError as refused:
        return (error(name, str(refused), ONCE_FIXED),)
    except Exception as failed:  # noqa: BLE001 - one check must not keep the others from being made
        sentence = f"the check failed: unexpected {type(failed).__name__}: {failed}"
        return (error(name, " ".join(sentence.split()), f"PUSHPRUNE_LOG=debug {AGAIN}   # and report its output"),)
