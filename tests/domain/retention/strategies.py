"""States and policies of every kind, small enough that tags share digests, moments and rules."""

from typing import Any

from hypothesis import strategies as st

from service.domain.oci.manifest import References
from service.domain.policy.model import Count, Keep, Period, Policy, Rule
from service.domain.retention.state import State, Tag, Untagged, subject_of
from tests.support.makers import digest_of, us

NOW = us(1_250)
SIGNATURE = "sha256-" + "a" * 64 + ".sig"
NAMES = ("latest", "a1", "a2", "a3", "b1", "b2", "v1.0.0", "v1.1.0", SIGNATURE)
DIGESTS = tuple(digest_of(name) for name in "uvwxyz")
# After now, too: clocks differ, and a lease ends later.
MOMENTS = st.integers(0, 9).map(lambda step: us(step * 200))

_DIGEST = st.sampled_from(DIGESTS)
_TAG = st.builds(
    Tag,
    st.sampled_from(NAMES),
    _DIGEST,
    st.none() | MOMENTS | MOMENTS | MOMENTS,
    pulled_us=st.none() | MOMENTS,
    created_us=st.sampled_from([None, 0]) | MOMENTS,
)
TAGS = st.lists(_TAG, max_size=7, unique_by=lambda tag: tag.name).map(tuple)
_BEFORE = MOMENTS | st.just(us(-9000))
_LOST = st.sampled_from(["", "a1", "b1", "gone"])
UNTAGGED = (
    st.builds(Untagged, _DIGEST, _BEFORE, _LOST)
    | st.builds(Untagged, _DIGEST, _BEFORE, _LOST, index=_DIGEST).filter(lambda item: item.index != item.digest)
    | st.builds(Untagged, _DIGEST, _BEFORE, st.just("a1"), by_pushprune=st.just(True))
)
REFERENCES = st.none() | st.builds(
    References,
    children=st.lists(_DIGEST, max_size=2).map(tuple),
    subject=st.sampled_from([None, None, *DIGESTS]),
    readable=st.sampled_from([True, True, False]),
)
STATES = st.builds(
    State,
    repository=st.just("shop/api"),
    tags=TAGS,
    links=st.dictionaries(_DIGEST, REFERENCES, max_size=2),
    untagged=st.lists(UNTAGGED, max_size=4, unique_by=lambda item: item.digest).map(tuple),
    revisions=st.dictionaries(
        st.sampled_from(NAMES[:5]), st.lists(_DIGEST, min_size=1, max_size=4, unique=True).map(tuple), max_size=3
    ),
    leased=st.dictionaries(_DIGEST, MOMENTS, max_size=2),
    approved=st.frozensets(_DIGEST, max_size=2),
    deleted=st.frozensets(st.sampled_from([*DIGESTS, subject_of(SIGNATURE, None) or ""]), max_size=2),
)

_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Count: st.sampled_from([None, None, 1, 2, 3]),
    Period: st.sampled_from([None, None, "1s", "300s", "700s"]),
    Keep.__annotations__["revisions"]: st.sampled_from([0, 0, 1, 2]),
    Keep.__annotations__["mode"]: st.sampled_from(["any", "all"]),
}
# Every field of Keep is tried, so that no condition is forgotten here.
LIMITS = st.builds(
    lambda **limits: Keep(**{name: limit for name, limit in limits.items() if limit is not None}),
    **{name: _VALUES[kind] for name, kind in Keep.__annotations__.items()},
).filter(lambda keep: keep.limits_tags or keep.revisions > 0)
KEEPS = st.just("always") | st.just("none") | LIMITS | LIMITS | LIMITS


def rules(final: st.SearchStrategy[bool] | None = None) -> st.SearchStrategy[Rule]:
    """Rules of every kind. final: which of them are."""
    return st.builds(
        lambda group, **more: Rule(**more) if group is None else Rule(group=group, **more),
        group=st.sampled_from([None, None, r"^(.).*\d$", r"^([a-z])(\d)"]),
        repos=st.sampled_from([("**",), ("shop/*",), ("other",)]),
        tags=st.sampled_from([("*",), ("*",), ("a*",), ("re:[0-9]",), ("!b*",), ("b1", "latest"), ("*1", "!a*")]),
        older_than=st.sampled_from([0, 0, 0, "50s", "300s", "700s"]),
        order=st.sampled_from(["pushed", "semver", "created", "name"]),
        count=st.sampled_from(["digests", "tags"]),
        keep=KEEPS,
        untagged=st.sampled_from([None, 0, "300s", "7000s", "keep"]),
        final=st.booleans() if final is None else final,
    )


def policies(rule: st.SearchStrategy[Rule] | None = None) -> st.SearchStrategy[Policy]:
    """Policies of every kind, of these rules."""
    return st.builds(
        Policy,
        protect=st.sampled_from([(), (), ("latest",), ("b*",)]),
        grace=st.sampled_from([0, 0, "300s", "700s"]),
        hold_over=st.sampled_from([0, 50, 100]),
        hold_min=st.sampled_from([0, 2, 20]),
        shared=st.sampled_from(["untag", "keep"]),
        rules=st.lists(rules() if rule is None else rule, max_size=4).map(tuple),
    )


def boundaries(state: State, wanted: Policy) -> list[int]:
    """Every moment from now on at which anything that the policy says about time begins or ends."""
    periods = {wanted.grace, 600, 3600}
    for rule in wanted.rules:
        keep = rule.keep if isinstance(rule.keep, Keep) else Keep(last=1)
        periods |= {rule.older_than, keep.pushed_within or 0, keep.pulled_within or 0}
        periods.add(rule.untagged if isinstance(rule.untagged, int) else 0)
    starts = {tag.pushed_us or 0 for tag in state.tags} | {tag.used_us for tag in state.tags}
    starts |= {item.since_us for item in state.untagged}
    moments = {start + period * 1_000_000 for start in starts for period in periods} | set(state.leased.values())
    return [NOW, *sorted(moment for moment in moments if moment > NOW)]
