"""The machine: users, events, workers and their deaths in any order, and all checks once no work is left."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from service.domain.retention.plan import Plan
from tests.fakes.images import Image
from tests.fakes.registry_storage import Version
from tests.machine import checks
from tests.machine.forgers import LIES, Forgers
from tests.machine.goods import GOODS, INDEXES, WITH_UNDATED
from tests.machine.ground import Ground
from tests.machine.oracle import Rule
from tests.machine.policies import GROUPED, rules
from tests.machine.users import Deed, Users
from tests.machine.world import Cross, World

TAGS = ("v1", "v2", "v3", "v4", "latest")
_NUMBERS = st.integers(0, 7)

pushes = st.builds(Deed, st.just("push"), st.sampled_from(TAGS), st.integers(0, 8))
races = st.builds(Deed, st.sampled_from(("push again", "move", "share")), st.sampled_from(TAGS), _NUMBERS)
others = st.builds(
    Deed,
    st.sampled_from(("delete", "untag", "pull", "sign", "attach", "push parts", "restore", "replace")),
    st.sampled_from(TAGS),
    _NUMBERS,
)
deeds = st.one_of(pushes, races, others)
tags, indexes = st.sampled_from(TAGS), st.sampled_from(INDEXES)
orders = st.sampled_from(((0, 1, 2), (0, 1, 2), (1, 2, 0), (0, 2), (1, 0, 2)))
lies = st.builds(Deed, st.sampled_from(LIES), st.sampled_from(TAGS), st.integers(0, 30))
crosses = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(("before", "after", "during")),
        st.one_of(races, races, deeds),
        st.booleans(),
    ),
    max_size=3,
)
kills = st.none() | st.tuples(st.integers(0, 25), st.booleans())
BatchCross = tuple[str, int, str, Deed, bool]


def batch_crosses(deeds: st.SearchStrategy[Deed]) -> st.SearchStrategy[list[BatchCross]]:
    """Users who meet a batch of six images: any of its requests, or those that write."""
    methods, when = st.sampled_from(("", "DELETE", "DELETE", "PUT")), st.sampled_from(("before", "after", "during"))
    return st.lists(st.tuples(methods, st.integers(0, 7), when, deeds, st.booleans()), max_size=3)


# The middle of such a batch, where tags are moved to tombstones.
batch_kills = st.none() | st.tuples(st.integers(20, 70), st.booleans())
# With a tag for each of the six, more are doomed than there are tombstones.
_MANY = ("v1", "v2", "v3", "v4", "v5", "v6")
batch_orders = st.permutations(range(len(_MANY)))


@dataclass(frozen=True)
class Meeting:
    """A user's deed and the request of a deletion that the deed meets; method "": right before all requests."""

    deed: Deed
    method: str
    nth: int
    when: str
    late: bool


meetings = st.builds(
    Meeting,
    deed=st.one_of(races, races, races, deeds),
    method=st.sampled_from(("", "DELETE", "DELETE", "GET")),
    nth=st.integers(0, 1),
    when=st.sampled_from(("before", "during", "during", "after")),
    late=st.booleans(),
)


protecting = st.builds(Deed, st.just("protect"), tags, _NUMBERS)
removals = st.builds(Deed, st.just("remove"), tags, _NUMBERS)
protections = st.builds(
    Meeting,
    deed=protecting,
    method=st.sampled_from(("", "DELETE", "DELETE", "PUT")),
    nth=st.integers(0, 1),
    when=st.sampled_from(("before", "during", "after")),
    late=st.just(value=False),
)


class Machine(RuleBasedStateMachine):
    """The machine over a registry of one version under one policy."""

    def __init__(self, ground: Ground, version: Version) -> None:
        super().__init__()
        self._ground, self._version = ground, version
        self._world: World | None = None

    @property
    def world(self) -> World:
        assert self._world
        return self._world

    @initialize(rule=rules, opening=st.lists(meetings, min_size=1, max_size=4))
    def begin(self, rule: Rule, opening: list[Meeting]) -> None:
        """Begin an example. opening: races that every example begins with, because most faults show there."""
        self._world = self._new_world(rule)
        self.users = Users(self.world)
        for meeting in opening:
            self._race(meeting)

    def _new_world(self, rule: Rule) -> World:
        return World(self._ground, self._version, rule, names=GROUPED if rule.is_grouped else None)

    def _quiet(self) -> None:
        quiet(self.world)

    @rule(deed=deeds, late=st.booleans())
    def do(self, deed: Deed, late: bool) -> None:
        self.users.do(deed, late=late)

    @rule(tags=st.lists(st.sampled_from(TAGS), min_size=2, max_size=4, unique=True), what=_NUMBERS)
    def push_many(self, tags: list[str], what: int) -> None:
        for number, tag in enumerate(tags):
            self.users.do(Deed("push", tag, what + number), late=False)

    @rule(kind=st.sampled_from(("next", "next", "enforce", "delete", "sweep")), crossing=crosses, kill=kills)
    def work(self, kind: str, crossing: list[tuple[int, str, Deed, bool]], kill: tuple[int, bool] | None) -> None:
        named = self.world.next_message() if kind == "next" else kind
        self._work(named, crossing, kill)

    @rule(meeting=meetings)
    def race(self, meeting: Meeting) -> None:
        self._race(meeting)

    def _race(self, meeting: Meeting) -> None:
        """Delete the doomed images while a user acts."""
        self.users.overflow()
        self.world.work("enforce")
        if meeting.method:
            do = partial(self.users.do, meeting.deed, late=meeting.late)
            self.world.work("delete", (Cross(meeting.nth, meeting.when, do, meeting.method),))
        else:
            self.users.do(meeting.deed, late=meeting.late)
            self.world.work("delete")

    @rule(when=st.sampled_from(("before", "after")), deed=deeds, late=st.booleans())
    def heal(self, when: str, deed: Deed, late: bool) -> None:
        """Let a user act while an image is restored."""
        self.world.work("enforce", (Cross(0, when, partial(self.users.do, deed, late=late), "PUT"),))

    def _work(
        self, named: str | None, crossing: list[tuple[int, str, Deed, bool]], kill: tuple[int, bool] | None
    ) -> None:
        made = tuple(Cross(nth, when, partial(self.users.do, deed, late=late)) for nth, when, deed, late in crossing)
        if named:
            self.world.work(named, made, kill)

    @rule(crossing=crosses, kill=kills)
    def prune(self, crossing: list[tuple[int, str, Deed, bool]], kill: tuple[int, bool] | None) -> None:
        """Delete the doomed images; users do not wait."""
        self.users.overflow()
        self.world.work("enforce")
        self._work("delete", crossing, kill)

    @rule(
        order=batch_orders,
        crossing=batch_crosses(st.one_of(races, races, deeds)),
        kill=batch_kills,
        threads=st.booleans(),
    )
    def prune_many(
        self,
        order: list[int],
        crossing: list[BatchCross],
        kill: tuple[int, bool] | None,
        threads: bool,
    ) -> None:
        """Delete most of six tags in steps of one image, so that a tombstone is used twice.

        threads: while a tombstone is deleted, the next image is untagged.
        """
        for tag, number in zip(_MANY, order, strict=True):
            self.users.do(Deed("push", tag, number), late=False)
        self.world.work("enforce")
        made = tuple(
            Cross(nth, when, partial(self.users.do, deed, late=late), method)
            for method, nth, when, deed, late in crossing
        )
        self.world.work_in_steps(made, kill, threads=threads)

    @rule(
        deeds=st.lists(st.tuples(st.sampled_from(("planned", "planned", "any")), tags, deeds), min_size=1, max_size=3),
        dies=st.booleans(),
    )
    def overtake(self, deeds: list[tuple[str, str, Deed]], dies: bool) -> None:
        """Let users act between a plan and its commit, also on images that the plan deletes."""

        def act(plan: Plan) -> None:
            for about, tag, deed in deeds:
                if about == "planned":
                    self.users.give_tag(tag, plan.doomed[deed.number % len(plan.doomed)].digest)
                else:
                    self.users.do(deed, late=False)

        self.users.overflow()
        self.world.work_overtaken(act, dies=dies)
        self._work("delete", [], None)

    # Which rules there are must not depend on the world: on a slow machine it is not the same at every run.

    @rule(which=_NUMBERS, twice=st.booleans())
    def hear(self, which: int, twice: bool) -> None:
        if self.world.waiting:
            self.world.hear(which, twice=twice)

    @rule(which=_NUMBERS)
    def hear_again(self, which: int) -> None:
        if self.world.delivered:
            self.world.deliver(self.world.delivered[-1 - which % len(self.world.delivered)])

    @rule(tag=st.sampled_from(TAGS), which=_NUMBERS, what=st.sampled_from(("restore", "restore", "replace")))
    def restore(self, tag: str, which: int, what: str) -> None:
        self.users.do(Deed(what, tag, which), late=False)

    @rule(what=st.sampled_from(("lose messages", "restart", "time passes", "settle", "quiet")))
    def happen(self, what: str) -> None:
        """Take a step of the environment: lost messages, a restart, or time that passes."""
        match what:
            case "lose messages":
                self.world.messages.clear()
            case "restart":
                self.world.restart()
            case "time passes":
                self.world.time_passes()
            case "settle":
                self.world.settle()
            case "quiet":
                self._quiet()

    def teardown(self) -> None:
        if self._world is None:
            return
        try:
            self._quiet()
        finally:
            self._world.close()


class Forged(Machine):
    """The machine with holders of the notify token who report events that never happened: no kept image may be lost.

    More may be kept than without them, and the history contains what they say.
    """

    @initialize(rule=rules, opening=st.lists(meetings, min_size=1, max_size=4), tag=tags, index=indexes, order=orders)
    def begin(
        self,
        rule: Rule,
        opening: list[Meeting],
        tag: str = "latest",
        index: Image = INDEXES[0],
        order: tuple[int, ...] = (),
    ) -> None:
        Machine.begin(self, rule=rule, opening=opening)
        self.take_apart(tag=tag, index=index, order=order)

    @rule(tag=tags, index=indexes, order=orders)
    def take_apart(self, tag: str, index: Image, order: tuple[int, ...]) -> None:
        """Forge reports about a known index: if they were believed, its parts would be deleted."""
        self.users.do(Deed("push", tag, GOODS.index(index)), late=False)
        self.world.settle()
        Forgers(self.world).take_apart(index.digest, order)

    @rule(lies=st.lists(lies, min_size=1, max_size=4), settles=st.booleans())
    def forge(self, lies: list[Deed], settles: bool) -> None:
        self._tell(lies)
        if settles:
            self.world.settle()

    @rule(lie=lies, kill=kills)
    def forge_and_prune(self, lie: Deed, kill: tuple[int, bool] | None) -> None:
        """Delete the doomed images; a notification arrives before or meanwhile."""
        self.users.overflow()
        self.world.work("enforce")
        self.world.work("delete", (Cross(lie.number % 4, "before", partial(self._tell, [lie])),), kill)

    @rule(lies=st.lists(lies, min_size=1, max_size=3))
    def forge_after_a_while(self, lies: list[Deed]) -> None:
        """Forge once no write of pushprune is so young that a report could be about a request that met the write."""
        self._quiet()
        self._tell(lies)
        self.world.settle()

    def _tell(self, lies: list[Deed]) -> None:
        for lie in lies:
            Forgers(self.world).do(lie)

    def _quiet(self) -> None:
        self.world.come_to_rest()
        checks.nothing_kept_is_missing(self.world)
        self.world.compare()
        checks.nothing_kept_is_missing(self.world)
        checks.no_tombstone_is_left(self.world)
        self.world.model.rest()
        self.world.minutes_pass()


class ByHand(Machine):
    """The machine with users who delete images manually, whatever the policy keeps."""

    @rule(tag=st.sampled_from(TAGS), settles=st.booleans())
    def remove(self, tag: str, settles: bool) -> None:
        self.users.do(Deed("remove", tag, 0), late=False)
        if settles:
            self.world.settle()

    @rule(tag=st.sampled_from(TAGS), crossing=crosses, kill=kills)
    def remove_and_cross(
        self, tag: str, crossing: list[tuple[int, str, Deed, bool]], kill: tuple[int, bool] | None
    ) -> None:
        self.users.do(Deed("remove", tag, 0), late=False)
        self.world.work("enforce")
        self._work("delete", crossing, kill)

    @rule(order=batch_orders, crossing=batch_crosses(removals), kill=batch_kills, threads=st.booleans())
    def remove_from_many(
        self, order: list[int], crossing: list[BatchCross], kill: tuple[int, bool] | None, threads: bool
    ) -> None:
        """Delete images manually while a batch of images is deleted."""
        self.prune_many(order=order, crossing=crossing, kill=kill, threads=threads)


class PutBack(Machine):
    """The machine with users who restore earlier images of tags."""

    @rule(tag=st.sampled_from(TAGS), which=_NUMBERS, settles=st.booleans())
    def go_back(self, tag: str, which: int, settles: bool) -> None:
        self.users.do(Deed("go back", tag, which), late=False)
        if settles:
            self.world.settle()

    @rule(tag=st.sampled_from(TAGS), which=_NUMBERS, crossing=crosses, kill=kills)
    def go_back_and_cross(
        self, tag: str, which: int, crossing: list[tuple[int, str, Deed, bool]], kill: tuple[int, bool] | None
    ) -> None:
        """Restore a doomed image, which would be deleted all the same without a recheck."""
        self.users.overflow()
        self.world.work("enforce")
        self.users.do(Deed("go back", tag, which), late=False)
        self._work("delete", crossing, kill)


class Protecting(Machine):
    """The machine with users who protect images, mostly while the images are deleted."""

    @initialize(rule=rules, opening=st.lists(protections, min_size=1, max_size=4))
    def begin(self, rule: Rule, opening: list[Meeting]) -> None:
        Machine.begin(self, rule=rule, opening=opening)

    @rule(tag=tags, which=_NUMBERS, settles=st.booleans())
    def protect(self, tag: str, which: int, settles: bool) -> None:
        self.users.do(Deed("protect", tag, which), late=False)
        if settles:
            self.world.settle()

    @rule(meeting=protections)
    def meet(self, meeting: Meeting) -> None:
        self._race(meeting)

    @rule(order=batch_orders, crossing=batch_crosses(protecting), kill=batch_kills, threads=st.booleans())
    def protect_many(
        self, order: list[int], crossing: list[BatchCross], kill: tuple[int, bool] | None, threads: bool
    ) -> None:
        """Protect images while a batch of images is deleted."""
        self.world.end_protections()
        self.prune_many(order=order, crossing=crossing, kill=kill, threads=threads)

    def _race(self, meeting: Meeting) -> None:
        """Delete the doomed images while users protect them; earlier protections end first, so that there are some."""
        self.world.end_protections()
        super()._race(meeting)


class Changing(Machine):
    """The machine with an operator who changes the policy, and changes it back while deletions are under way."""

    @rule(rule=rules, sweeps=st.booleans(), settles=st.booleans())
    def change_policy(self, rule: Rule, sweeps: bool, settles: bool) -> None:
        self.world.change_policy(rule, sweeps=sweeps)
        if settles:
            self.world.settle()

    @rule(sweeps=st.booleans(), kill=kills)
    def change_and_change_back(self, sweeps: bool, kill: tuple[int, bool] | None) -> None:
        """Put `last: 1` in force by mistake, until the worker has planned by that policy."""
        before = replace(self.world.rule, keep=2)
        self.world.change_policy(before, sweeps=True)
        self.users.overflow()
        self.world.settle()
        self.world.change_policy(replace(before, keep=1), sweeps=True)
        self.world.work("enforce")
        self.world.change_policy(before, sweeps=sweeps)
        self._work("delete", [], kill)

    @rule(what=_NUMBERS, nth=st.integers(0, 6), kill=kills)
    def change_back_during_deletion(self, what: int, nth: int, kill: tuple[int, bool] | None) -> None:
        """Put `last: 1` in force by mistake, and change it back while a worker deletes a batch by that policy."""
        before, all_kept = self.world.rule, replace(self.world.rule, keep=4)
        self.world.change_policy(all_kept, sweeps=True)
        self.push_many(tags=list(TAGS[:4]), what=what)
        self.world.settle()
        self.world.change_policy(replace(before, keep=1), sweeps=True)
        self.world.work("enforce")
        change_back = Cross(nth, "after", partial(self.world.change_policy, all_kept, sweeps=False))
        self.world.work("delete", (change_back,), kill)
        self.world.change_policy(before, sweeps=False)


class Awkward(Machine):
    """The machine over Distribution 3.1.1 on object storage, which hides tags and answers late.

    Images have one date or none.

    Nothing that is kept is lost; what stays for ever is not looked at.
    """

    # `rel` hides `rel2` and `relx`.
    NAMES: ClassVar[Mapping[str, str]] = {"v1": "rel", "v2": "rel2", "v3": "relx", "v4": "new"}

    @initialize(
        rule=rules,
        opening=st.lists(meetings, min_size=1, max_size=4),
        order=st.sampled_from(("pushed", "pushed", "created")),
    )
    def begin(self, rule: Rule, opening: list[Meeting], order: str = "pushed") -> None:
        Machine.begin(self, rule=replace(rule, order=order), opening=opening)

    def _new_world(self, rule: Rule) -> World:
        return World(self._ground, self._version, rule, "s3", self.NAMES, WITH_UNDATED)

    @rule(kind=st.sampled_from(("enforce", "delete", "delete")), nth=st.integers(0, 6))
    def work_unanswered(self, kind: str, nth: int) -> None:
        self.users.overflow()
        self.world.work("enforce")
        self.world.work_unanswered(kind, nth)

    @rule(tag=st.sampled_from(("v2", "v3")), which=_NUMBERS)
    def share_unheard(self, tag: str, which: int) -> None:
        """Give a doomed image a tag that may be hidden; the registry restarts before it reports the push."""
        self.users.do(Deed("push", "v1", which), late=False)
        self.users.overflow()
        self.world.work("enforce")
        self.users.do(Deed("share", tag, which), late=True)
        self.world.restart()
        self.world.settle()

    @rule()
    def answer_late(self) -> None:
        self.world.answer_late()

    def _quiet(self) -> None:
        self.world.come_to_rest()
        checks.nothing_kept_is_missing(self.world)
        if self.world.lost:
            self.world.compare()
            checks.nothing_kept_is_missing(self.world)
        self.world.model.rest()


def quiet(world: World) -> None:
    """Work until nothing is left to do, and check registry and history."""
    world.come_to_rest()
    checks.nothing_kept_is_missing(world)
    if world.lost:
        world.compare()
        checks.nothing_kept_is_missing(world)
    if checks.left_without_a_tag(world) or checks.left_behind(world):
        world.nudge()  # neither a push without a tag nor a user's delete makes a repository due; the next push does
    checks.nothing_dropped_remains(world)
    checks.history_tells_the_truth(world)
    checks.what_was_deleted_can_be_undone(world)
    checks.no_tombstone_is_left(world)
    world.model.rest()
