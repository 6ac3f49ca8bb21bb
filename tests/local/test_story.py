"""The expectation of the demo: worked out from the pushes alone, by digest, newest first."""

from service.local.story import Pushed, remains


def pushes(*steps: str) -> list[Pushed]:
    """ "v1=a" is a push of digest a under the tag v1."""
    return [Pushed("app", *step.split("=")) for step in steps]


def left(last: int, *steps: str) -> list[str]:
    return sorted(tag for _, tag in remains(pushes(*steps), last, "latest"))


def test_the_newest_stay() -> None:
    assert left(2, "v1=a", "v2=b", "v3=c") == ["v2", "v3"]


def test_what_counts_is_the_push_not_the_name() -> None:
    assert left(2, "v3=c", "v2=b", "v1=a") == ["v1", "v2"]


def test_a_second_tag_makes_an_old_digest_new_and_keeps_both_its_tags() -> None:
    assert left(2, "v1=a", "v2=b", "v3=c", "stable=a") == ["stable", "v1", "v3"]


def test_a_tag_that_moved_no_longer_holds_where_it_stood() -> None:
    assert left(2, "v1=a", "moving=b", "v2=c", "moving=d") == ["moving", "v2"]


def test_the_protected_tag_takes_no_slot() -> None:
    assert left(2, "v1=a", "v2=b", "v3=c", "latest=d") == ["latest", "v2", "v3"]


def test_the_protected_tag_holds_its_digest_with_all_its_tags() -> None:
    assert left(2, "v1=a", "latest=a", "v2=b", "v3=c") == ["latest", "v1", "v2", "v3"]


def test_every_repository_counts_for_itself() -> None:
    story = [Pushed("one", "v1", "a"), Pushed("two", "v1", "a"), Pushed("two", "v2", "b")]
    assert remains(story, 1, "latest") == {("one", "v1"): "a", ("two", "v2"): "b"}
