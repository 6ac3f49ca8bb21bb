"""Examples that the machine once found, each written out step by step."""

import pytest

from tests.fakes.registry_storage import Version
from tests.machine.ground import Ground
from tests.machine.machine import Awkward, ByHand, Machine, Meeting, Protecting
from tests.machine.oracle import Rule
from tests.machine.users import Deed

pytestmark = pytest.mark.slow


def meeting(what: str, tag: str, number: int, method: str = "", nth: int = 0, when: str = "before") -> Meeting:
    """A user's deed that meets a request of a deletion, heard at once."""
    return Meeting(Deed(what, tag, number), method, nth, when, late=False)


def replayed(ground: Ground, version: Version, rule: Rule, *opening: Meeting) -> Machine:
    """The machine at the beginning of an example."""
    machine = Machine(ground, version)
    machine.begin(rule=rule, opening=list(opening))
    return machine


def test_an_image_that_was_restored_two_levels_down_keeps_its_outer_index(ground: Ground) -> None:
    """Seed 771003."""
    machine = replayed(ground, "2.8", Rule(1, "digests", True, False), meeting("push again", "v1", 0))
    machine.do(deed=Deed("push", "v1", 0), late=False)
    machine.do(deed=Deed("delete", "v2", 0), late=False)
    machine.do(deed=Deed("push", "v1", 8), late=False)
    machine.race(meeting=meeting("push again", "v1", 0))
    machine.restore(tag="v1", what="restore", which=0)
    machine.push_many(tags=["v1", "v2", "v3"], what=5)
    machine.race(meeting=meeting("push", "v1", 0))
    machine.happen(what="settle")
    machine.teardown()


def test_an_image_restored_under_many_names_keeps_its_outer_index(ground: Ground) -> None:
    """Seed 771002."""
    opening = (
        meeting("push", "v4", 3),
        Meeting(Deed("push again", "v1", 0), "DELETE", 1, "before", late=True),
        meeting("push again", "v1", 0, "DELETE", 1),
    )
    machine = replayed(ground, "3", Rule(1, "tags", True, True), *opening)
    machine.happen(what="lose messages")
    machine.push_many(tags=["v3", "v4", "v1"], what=6)
    machine.restore(tag="v2", what="restore", which=2)
    machine.race(meeting=Meeting(Deed("share", "v3", 2), "", 1, "after", late=True))
    machine.restore(tag="v3", what="replace", which=4)
    machine.happen(what="quiet")
    machine.restore(tag="v4", what="restore", which=5)
    machine.happen(what="time passes")
    machine.hear_again(which=7)
    machine.push_many(tags=["v4", "latest", "v1", "v3"], what=3)
    machine.push_many(tags=["v1", "v2", "v3", "latest"], what=4)
    machine.push_many(tags=["latest", "v3", "v2"], what=4)
    machine.restore(tag="v3", what="restore", which=1)
    machine.heal(deed=Deed("push", "v4", 4), late=False, when="after")
    machine.push_many(tags=["v3", "v2", "latest"], what=6)
    machine.heal(deed=Deed("untag", "v4", 3), late=True, when="before")
    machine.race(meeting=meeting("move", "v1", 7, "DELETE", 0, "during"))
    machine.restore(tag="v3", what="restore", which=1)
    machine.race(meeting=meeting("push", "v2", 2, "DELETE"))
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_image_is_deleted_although_an_index_took_its_tag_over_before_its_take_off_was_noted(
    ground: Ground, version: Version
) -> None:
    """Seed 771001: the first worker dies right after its DELETE of the tag, before it notes that."""
    machine = replayed(ground, version, Rule(1, "digests", False, True), meeting("push", "v1", 0))
    for _ in range(2):
        machine.happen(what="lose messages")
    machine.push_many(tags=["v1", "v2", "v3", "v4"], what=2)
    machine.push_many(tags=["v1", "v4", "v3"], what=0)
    for _ in range(5):
        machine.happen(what="lose messages")
    machine.happen(what="time passes")
    machine.work(crossing=[], kill=(17, False), kind="next")
    machine.work(crossing=[], kill=(16, True), kind="delete")
    machine.prune(crossing=[], kill=(14, True))
    machine.race(meeting=meeting("untag", "v1", 5))
    machine.push_many(tags=["v4", "v1"], what=3)
    machine.heal(deed=Deed("share", "v4", 2), late=False, when="before")
    machine.heal(deed=Deed("pull", "v4", 3), late=False, when="before")
    machine.race(meeting=meeting("push again", "v1", 1, "", 0, "during"))
    machine.happen(what="restart")
    machine.happen(what="lose messages")
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_restore_that_meets_the_deletion_of_the_same_push_is_healed(ground: Ground, version: Version) -> None:
    """The push was heard long before, and doomed: only the restore, right before the DELETE, keeps it again."""
    machine = replayed(ground, version, Rule(1, "tags", True, False), meeting("push", "v2", 3))
    machine.do(deed=Deed("push", "v1", 1), late=False)
    machine.happen(what="settle")
    machine.do(deed=Deed("push", "v2", 3), late=False)
    machine.do(deed=Deed("push", "v1", 2), late=False)
    machine.race(meeting=meeting("replace", "v2", 0, "DELETE"))
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_lost_deletion_of_the_oldest_tag_waits_for_a_user_who_says_that_the_storage_is_right(
    ground: Ground, version: Version
) -> None:
    """Seed 120109: none of the remaining tags existed before the lost one."""
    machine = replayed(ground, version, Rule(1, "digests", False, False), meeting("push", "v3", 5))
    machine.do(deed=Deed("push", "v3", 5), late=False)
    machine.happen(what="settle")
    machine.push_many(tags=["v1", "v2", "v4"], what=0)
    machine.do(deed=Deed("delete", "v3", 0), late=True)
    machine.happen(what="restart")
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_the_parts_of_an_index_that_its_user_deletes_before_it_was_read_are_kept(
    ground: Ground, version: Version
) -> None:
    """Seed 602: only events had said that the images are parts."""
    machine = replayed(ground, version, Rule(1, "digests", False, False), meeting("push", "v1", 0))
    machine.do(deed=Deed("push", "latest", 5), late=False)
    machine.do(deed=Deed("delete", "latest", 0), late=False)
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_restored_index_that_a_user_deletes_is_deleted_with_its_parts(ground: Ground, version: Version) -> None:
    """Seed 602: the image is no longer kept by its restore."""
    machine = ByHand(ground, version)
    machine.begin(rule=Rule(2, "digests", False, True), opening=[meeting("push", "v1", 0)])
    machine.happen(what="quiet")
    for tag, number in (("latest", 1), ("v2", 4), ("v4", 7)):
        machine.do(deed=Deed("push", tag, number), late=False)
    machine.remove(tag="v4", settles=True)
    machine.restore(tag="v4", what="replace", which=2)
    machine.do(deed=Deed("push", "latest", 2), late=False)
    machine.remove(tag="v4", settles=True)
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_index_is_no_longer_kept_by_the_restore_of_a_part_that_a_user_deletes_by_hand(
    ground: Ground, version: Version
) -> None:
    machine = ByHand(ground, version)
    opening = Meeting(Deed("push again", "v1", 3), "DELETE", 0, "after", late=True)
    machine.begin(rule=Rule(1, "digests", True, True), opening=[opening])
    machine.restore(tag="v2", what="replace", which=0)
    machine.push_many(tags=["v1"], what=4)
    machine.push_many(tags=["v4", "v3", "latest", "v2"], what=7)
    machine.remove(tag="v2", settles=True)
    machine.push_many(tags=["v2"], what=3)
    machine.teardown()


def test_an_image_is_deleted_although_a_restore_took_its_tag_over_while_it_was_untagged(ground: Ground) -> None:
    """Seed 120111: the plan of the image was deleted, and nothing else said that its deletion had begun."""
    opening = Meeting(Deed("push", "latest", 0), "", 0, "before", late=True)
    machine = replayed(ground, "2.8", Rule(1, "digests", False, True), opening)
    machine.push_many(tags=["v1", "v4"], what=5)
    machine.race(meeting=meeting("restore", "v4", 0, "GET", 1, "after"))
    machine.push_many(tags=["v4", "v1", "v3"], what=7)
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_an_index_that_its_user_deletes_before_a_restart_is_not_lost(ground: Ground, version: Version) -> None:
    """The deletion is never reported, and pushprune deleted the tag right before its push."""
    opening = (
        Meeting(Deed("share", "latest", 4), "DELETE", 0, "during", late=True),
        Meeting(Deed("push", "latest", 2), "DELETE", 0, "during", late=True),
    )
    machine = replayed(ground, version, Rule(2, "tags", False, False), *opening)
    machine.do(deed=Deed("delete", "v1", 7), late=True)
    machine.happen(what="restart")
    machine.teardown()


def test_a_worker_that_dies_while_it_tests_the_listing_holds_up_no_deletion_for_ever(tried: Ground) -> None:
    """The lease of the dead worker ends as time passes."""
    machine = Awkward(tried, "3.1.1")
    machine.begin(rule=Rule(1, "tags", True, False), opening=[], order="pushed")
    machine.prune(crossing=[], kill=(15, True))
    machine.teardown()


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_signature_that_was_also_pushed_as_an_image_loses_that_tag(ground: Ground, version: Version) -> None:
    """The deletion of the tag was planned and dropped in turns, for ever."""
    opening = Meeting(Deed("push again", "v1", 0), "", 0, "before", late=True), meeting("push again", "v1", 0)
    machine = replayed(ground, version, Rule(1, "tags", True, False), *opening)
    machine.overtake(deeds=[("any", "latest", Deed("push", "v3", 6))], dies=False)
    machine.overtake(deeds=[("any", "v3", Deed("sign", "v3", 0))], dies=True)
    shared = [("planned", "v1", Deed("move", "v3", 0)), ("planned", "v4", Deed("share", "v1", 0))]
    machine.overtake(deeds=shared, dies=False)
    machine.teardown()


def test_a_tag_that_a_user_deletes_unheard_while_it_is_doomed_may_be_recorded_as_pruned(ground: Ground) -> None:
    """Seed 12: a deletion by pushprune had just touched the tag, and the tag's last push was not heard either."""
    machine = Protecting(ground, "2.8")
    machine.begin(rule=Rule(2, "tags", False, True), opening=[meeting("protect", "v1", 0, "PUT")])
    machine.race(meeting=meeting("push", "v1", 0, "GET"))
    unheard, heard = (0, "before", Deed("push", "v1", 0), True), (0, "before", Deed("push", "v4", 0), False)
    machine.prune(crossing=[unheard, heard], kill=None)
    machine.work(crossing=[], kill=None, kind="next")
    machine.happen(what="lose messages")
    machine.race(meeting=Meeting(Deed("delete", "v1", 0), "", 0, "before", late=True))
    machine.teardown()


def test_an_index_whose_part_a_user_deleted_is_not_restored_if_it_is_protected_during_its_deletion(
    ground: Ground,
) -> None:
    """Seed 12: the registry does not accept the index without the part."""
    machine = Protecting(ground, "2.8")
    machine.begin(rule=Rule(1, "digests", False, False), opening=[meeting("protect", "v1", 0)])
    machine.push_many(tags=["v3", "v2"], what=6)
    machine.do(deed=Deed("push", "v1", 0), late=False)
    machine.do(deed=Deed("delete", "v1", 0), late=False)
    machine.meet(meeting=meeting("protect", "v3", 0, "DELETE", 0, "during"))
    machine.teardown()


def test_a_tag_that_is_to_be_restored_counts_until_a_later_push_of_it_is_heard(ground: Ground) -> None:
    """Seed 31: a restore dropped the plan that deleted v4. The push of a part of an index as v4 is not heard yet."""
    machine = Protecting(ground, "3")
    machine.begin(rule=Rule(1, "tags", True, False), opening=[])
    for tag, number in (("latest", 5), ("v1", 2), ("v4", 1)):
        machine.do(deed=Deed("push", tag, number), late=False)
    machine.happen(what="settle")
    machine.do(deed=Deed("push", "v1", 3), late=False)
    machine.race(meeting=meeting("replace", "v1", 0, "DELETE", 0, "during"))
    machine.do(deed=Deed("push", "v4", 8), late=True)
    machine.heal(deed=Deed("pull", "latest", 0), late=False, when="before")
    machine.race(meeting=meeting("pull", "latest", 0))
    machine.teardown()
