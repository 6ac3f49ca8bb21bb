"""Plans that set settled tags aside are the whole plans, whatever happens to a repository between them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from service.domain.policy.model import Policy
from service.domain.retention import settled
from service.domain.retention.plan import Plan
from service.domain.retention.planner import plan
from service.prune.planning import plan_policy
from service.store import remembered_tags
from service.store.approvals import Approvals
from service.store.connection import Connection
from service.store.history import History
from service.store.limits import Limits
from service.store.manual import ManualDeletions
from service.store.protections import Protections
from service.store.remembered_tags import RememberedTags
from tests.support.changing_repository import CHANGES, SHOP, ChangingRepository
from tests.support.examples import part_of
from tests.support.makers import policy
from tests.support.record import NOW, digest

POLICIES = (
    policy("rules: [{keep: {last: 4}}]"),
    policy("rules: [{tags: 'v*', keep: {last: 3}}, {tags: 'b*', keep: {last: 2, pulled_within: 1h}}]\nprotect: [v2]"),
    policy("rules: [{group: '^(.)', count: tags, order: semver, keep: {last: 4}, untagged: 1h}]\nhold_over: 20%"),
    policy("rules: [{tags: 'v*', keep: {last: 3}}, {tags: 'b*', older_than: 2h, keep: {last: 1}}]\nhold_min: 0"),
)
NAMES = (*(f"{letter}{number}" for letter in "vb" for number in range(6)), "latest")


class PrunedRepository(ChangingRepository):
    """A repository that is planned by a process, which remembers what it read and settled."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.policy, self.at_us = POLICIES[0], NOW
        self.start("", "", 0)

    def start(self, name: str, seed: str, number: int) -> None:
        self.reader = History(self.connection, remembered=RememberedTags(least_tags=0))

    def change_policy(self, name: str, seed: str, number: int) -> None:
        self.policy = POLICIES[number % len(POLICIES)]

    def reload_policy(self, name: str, seed: str, number: int) -> None:
        self.policy = self.policy.model_copy()

    def wait(self, name: str, seed: str, number: int) -> None:
        self.at_us += number * 900_000_000

    def set_the_clock_back(self, name: str, seed: str, number: int) -> None:
        self.at_us -= number * 900_000_000

    def protect(self, name: str, seed: str, number: int) -> None:
        Protections(self.connection).protect(SHOP, [digest(seed)], 3600)

    def request_deletion(self, name: str, seed: str, number: int) -> None:
        wanted = {tag.name: tag.digest for tag in self.snapshot.tags if tag.name == name}
        ManualDeletions(self.connection).request(SHOP, wanted, "amy")

    def hold(self, name: str, seed: str, number: int) -> None:
        snapshot = self.snapshot
        self.history.commit(snapshot, plan(snapshot, self.policy, self.at_us), "held")

    def approve(self, name: str, seed: str, number: int) -> None:
        Approvals(self.connection, Limits()).approve(SHOP)

    def compare(self) -> None:
        """Compare the plan of the process with the whole plan of all tags."""
        snapshot = self.reader.snapshot(SHOP)
        memory = snapshot.remembered and snapshot.remembered.memory
        before = memory and memory.settled
        made = plan_policy(snapshot, self.policy, self.at_us)
        if memory and memory.settled:
            event("whole" if memory.settled is not before else f"{min(len(memory.settled.tags), 3)} settled")
        assert decided(made) == decided(plan(self.snapshot, self.policy, self.at_us))


def decided(made: Plan) -> Plan:
    return replace(made, verdicts=())


PRUNED = tuple(name for name in vars(PrunedRepository) if not name.startswith("_") and name != "compare")
_NAME = st.sampled_from(NAMES)
_STEP = st.tuples(
    st.sampled_from((*("push_newest",) * 20, *("push", "prune", "wait") * 3, *CHANGES, *PRUNED)),
    # Most tags have a digest of their own, or none would be settled.
    _NAME.map(lambda name: (name, name)) | _NAME.map(lambda name: (name, f"new {name}")) | st.tuples(_NAME, _NAME),
    st.integers(0, 9),
    st.booleans(),
)


@pytest.fixture(autouse=True, scope="module")
def no_margin() -> Iterator[None]:
    """Small groups have places that remain for pushes, too, and few changes are remembered."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settled, "_LARGE", 3)
        patched.setattr(settled, "_MARGIN", 1)
        patched.setattr(remembered_tags, "_MOST_CHANGED", 5)
        yield


@settings(deadline=None, max_examples=part_of(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(POLICIES), st.lists(_STEP, min_size=8, max_size=40))
def test_plans_by_what_a_process_remembers_are_the_whole_plans(
    connection: Connection, wanted: Policy, steps: list[tuple[str, tuple[str, str], int, bool]]
) -> None:
    for key in list(connection.client.scan_iter(match=f"{connection.keys.prefix}*", count=1000)):
        connection.client.delete(key)
    repository = PrunedRepository(connection)
    repository.policy = wanted
    for change, (name, seed), number, is_planned in steps:
        getattr(repository, change)(name, seed, number)
        if is_planned:
            repository.compare()
    repository.compare()
