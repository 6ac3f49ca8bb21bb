"""Previews: the number of deletions by each rule, and their known size."""

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.preview import previewed, totals
from service.domain.retention.state import Tag
from service.domain.retention.total import Total
from tests.support.makers import digest_of


def going(name: str, digest: str, size_bytes: int = 0, kept_as: str = "") -> Verdict:
    return Verdict(Tag(name, digest_of(digest), 1, size_bytes), False, "old", "r", kept_as=kept_as)


def plan(*verdicts: Verdict) -> Plan:
    return Plan(verdicts=(), doomed=tuple(Doomed(verdict.tag.digest, (verdict,)) for verdict in verdicts))


def test_an_image_of_unknown_size_is_counted_as_such() -> None:
    preview = previewed("shop/api", plan(going("a", "a", 7), going("", "b")), Freed())
    assert preview.rules == (Total("r", 1, 2, 7, 1),)
    assert totals([preview, previewed("web", plan(going("", "b"), going("", "c")), Freed())]) == (
        Total("r", 1, 4, 7, 3),
    )


def test_a_tag_that_is_deleted_alone_frees_nothing() -> None:
    preview = previewed("shop/api", plan(going("a", "x", 7, kept_as="latest"), going("b", "y", 5)), Freed())
    assert preview.rules == (Total("r", 2, 1, 5),)
    assert [verdict.tag.name for verdict in preview.deletions] == ["a", "b"]
    assert previewed("shop/api", plan(going("a", "x", kept_as="latest")), Freed()).rules == (Total("r", 1, 0, 0),)


def test_deletions_that_no_rule_decided_have_a_total_of_their_own() -> None:
    asked = Verdict(Tag("b", digest_of("b"), 1, 5), False, "requested by alice", manual=True)
    preview = previewed("shop/api", plan(going("a", "a", 7), asked), Freed())
    assert preview.rules == (Total("r", 1, 1, 7), Total("", 1, 1, 5))
