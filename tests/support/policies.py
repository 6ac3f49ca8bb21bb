"""Makers for tests of a changed policy: repositories under a policy, workers that read another one, broken files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.policy.model import Keep, Policy
from service.settings import PolicySource
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.support.system import Make, System
from workers.sweep import sweep

REPOSITORIES = ("shop/api", "shop/web", "shop/db")

Change = Callable[[System, Policy], None]


def last(count: int, **more: object) -> Policy:
    """Keep the last `count`; no repository alone is over these bounds, and all of them together are."""
    return keep_last(count, **{"hold_over": 50, "hold_min": 4, **more})


@pytest.fixture
def change(make_wiring: MakeWiring) -> Change:
    """change(system, policy): every worker has read another policy, and none has swept yet."""

    def to(system: System, policy: Policy) -> None:
        system.wiring = make_wiring(system.registry.url, policy)

    return to


def three_each(make_system: Make, policy: Policy) -> System:
    """Three tags in each of three repositories, under a policy that was weighed."""
    system = make_system(policy)
    for repository in REPOSITORIES:
        system.push("v1", "v2", "v3", repository=repository)
    system.settle()
    sweep(system.wiring)
    system.settle()
    return system


def broken(system: System, folder: Path) -> Wiring:
    """A worker whose policy file was valid and is broken by now."""
    file = folder / "policy.yaml"
    file.write_text(system.wiring.policies.written)
    settings = system.wiring.settings.model_copy(update={"policy": file})
    policies = PolicySource(settings, remembered=system.store.policy_changes.last)
    file.write_text("rules: [")
    assert policies.current()
    assert policies.error
    return replace(system.wiring, policies=policies)


def left(system: System) -> list[int]:
    return [len(system.tags(repository)) for repository in REPOSITORIES]


def in_force(system: System) -> int | None:
    """The number of tags that the policy in force keeps."""
    (rule,) = Policy.model_validate_json(system.store.policy_changes.last()).rules
    return rule.keep.last if isinstance(rule.keep, Keep) else None
