"""The machine with users who restore images by digest alone, mostly while the images are deleted."""

from dataclasses import replace
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.machine.goods import IMAGES
from tests.machine.machine import TAGS, ByHand, Machine, Meeting, deeds, kills, races
from tests.machine.oracle import Rule
from tests.machine.policies import KINDS
from tests.machine.users import Deed
from tests.machine.world import Cross

_ENDS = ("remove digest", "delete digest", "let leases end", "restore digest")
_last = KINDS["last"]
_untagged = _last.map(lambda rule: replace(rule, untagged=True))
_rules = st.one_of(_untagged, _untagged, _last)
_tags, _numbers = st.sampled_from(TAGS), st.integers(0, 7)
_restores = st.builds(Deed, st.just("restore digest"), _tags, _numbers)
_ends = st.builds(Deed, st.sampled_from(_ENDS), _tags, _numbers)
_deeds = st.one_of(_restores, _ends, races, deeds)
_restorations = st.builds(
    Meeting,
    deed=_restores,
    method=st.sampled_from(("DELETE", "DELETE", "DELETE", "")),
    nth=st.integers(0, 1),
    when=st.sampled_from(("before", "before", "during", "after")),
    late=st.booleans(),
)
_crosses = st.lists(
    st.builds(
        Meeting,
        deed=_deeds,
        method=st.sampled_from(("", "DELETE", "GET", "PUT")),
        nth=st.integers(0, 3),
        when=st.sampled_from(("before", "during", "after")),
        late=st.booleans(),
    ),
    max_size=3,
)


_FIRST = Meeting(Deed("restore digest", "v1", 0), "DELETE", 0, "before", late=False)


class ByDigest(ByHand):
    """The machine with users who restore images by digest, and delete them again or let their leases end."""

    @initialize(rule=_rules, opening=st.lists(_restorations, max_size=2), first=_restorations, dies=st.booleans())
    def begin(self, rule: Rule, opening: list[Meeting], first: Meeting = _FIRST, dies: bool = False) -> None:
        """Begin with a restore that meets a deletion. first, dies: as for `meet`."""
        Machine.begin(self, rule=rule, opening=opening)
        self.meet(meeting=first, then=[], dies=dies)
        self.meet_untagged(meeting=_FIRST, dies=dies)

    def _race(self, meeting: Meeting) -> None:
        self._leave(meeting.deed.number)
        super()._race(meeting)

    def _leave(self, number: int, tag: str = "") -> None:
        """Push an image, and another under its tag: without another tag, a policy may delete the first image."""
        for nth in (number, number + 1):
            self.users.do(Deed("push", tag or TAGS[number % 4], nth % len(IMAGES)), late=False)

    @rule(deed=_deeds, late=st.booleans(), settles=st.booleans())
    def restore_digest(self, deed: Deed, late: bool, settles: bool) -> None:
        self.users.do(deed, late=late)
        if settles:
            self.world.settle()

    @rule(meeting=_restorations, then=_crosses, dies=st.booleans())
    def meet(self, meeting: Meeting, then: list[Meeting], dies: bool) -> None:
        """Restore an image while it is deleted, and act again afterwards. dies: the worker, after that request."""
        self._leave(meeting.deed.number)
        self.users.overflow()
        self.world.work("enforce")
        crosses = [self._cross(each) for each in (meeting, *then)]
        if dies:
            crosses.append(replace(crosses[0], do=self.world.kill_worker))
        self.world.work("delete", tuple(crosses))

    @rule(meeting=_restorations, dies=st.booleans())
    def meet_untagged(self, meeting: Meeting, dies: bool) -> None:
        """Restore an image without a tag during the first DELETE: no check of a tag would restore the image.

        dies: as for `meet`. Everything then comes to rest, before a user restores or deletes the image once more.
        """
        self.world.time_passes()
        self.world.settle()
        manifests = self.world.registry.manifests()
        absent = [number for number, image in enumerate(IMAGES) if image.digest not in manifests]
        for number in absent[:1]:
            # A protected tag pushes no other tag out of the newest ones, so that no image with a tag is doomed.
            self._leave(number, "latest")
        self.world.work("enforce")
        restore = self._cross(replace(meeting, method="DELETE", nth=0))
        if dies:
            self.world.work("delete", (restore, replace(restore, do=self.world.kill_worker)))
            self._quiet()
        else:
            self.world.work("delete", (restore,))

    @rule(then=_crosses, kill=kills, passes=st.booleans())
    def heal_and_cross(self, then: list[Meeting], kill: tuple[int, bool] | None, passes: bool) -> None:
        """Act while a worker checks if an image has come back. passes: the check is due."""
        if passes:
            self.world.time_passes()
        self.world.work("enforce", tuple(self._cross(each) for each in then), kill)

    def _cross(self, each: Meeting) -> Cross:
        return Cross(each.nth, each.when, partial(self.users.do, each.deed, late=each.late), each.method)
