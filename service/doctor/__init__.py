"""The doctor: looks at the running system and says what is wrong, each finding with the one line that mends it.

One file for each part that is looked at; every check stands alone, and one that fails is a finding itself.
"""

from collections.abc import Callable, Iterable, Iterator

from service.doctor import garbage, gate, notifications, policy, redis, registry, storage, web, workers
from service.doctor.case import REPOSITORY, Case, open_case
from service.domain.errors import PushpruneError, RegistryUnavailable, StoreUnavailable
from service.domain.finding import Finding, error, warning

__all__ = ["CHECKS", "REPOSITORY", "Case", "examine", "open_case"]

Check = Callable[[Case], Iterable[Finding]]

# What is looked at → how. What is named first is what others rest upon.
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
    "gate": gate.check,
    "policy": policy.check,
    "garbage": garbage.check,
    "storage": storage.check,
}


def examine(case: Case, begin: Callable[[str], object] = lambda name: None) -> Iterator[Finding]:
    """What every check finds, as it is found. begin: told the name of each check before it starts."""
    for name, check in CHECKS.items():
        begin(name)
        yield from _found(name, check, case)


def _found(name: str, check: Check, case: Case) -> tuple[Finding, ...]:
    try:
        return tuple(check(case))
    except (StoreUnavailable, RegistryUnavailable) as away:
        return (warning(name, f"not looked at: {away}", f"{_AGAIN}   # once that is mended"),)
    except PushpruneError as refused:
        return (error(name, str(refused), f"{_AGAIN}   # once that is mended"),)
    except Exception as failed:  # noqa: BLE001 - one check must not keep the others from being made
        sentence = f"it could not be looked at: unexpected {type(failed).__name__}: {failed}"
        return (error(name, " ".join(sentence.split()), f"PUSHPRUNE_LOG=debug {_AGAIN}   # and report what it says"),)


_AGAIN = "pushprune doctor"
