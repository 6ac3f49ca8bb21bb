"""An imported policy deletes nothing that the other tool would have kept, in any state.

Each tool is played in a few lines from its own source or documentation, over images that may have several tags.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from service.importers.translation import Translation
from tests.importers import aged, commanded, gone, imported, used
from tests.support.examples import examples


@dataclass(frozen=True)
class Image:
    """An image: how many days ago it was pushed, and its tags."""

    days: int
    tags: frozenset[str]

    def has(self, prefix: str) -> bool:
        return any(tag.startswith(prefix) for tag in self.tags)


State = list[Image]
NAMES = [f"{kind}{number}" for kind in ("v", "pr-", "release") for number in range(5)] + ["latest"]


@st.composite
def states(draw: st.DrawFn) -> State:
    """Images of different ages that share the names among them, the youngest first."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    ages = sorted(draw(st.lists(st.integers(0, 60), unique=True, min_size=len(names), max_size=len(names))))
    owners = [draw(st.integers(0, at)) for at in range(len(names))]
    of_image: dict[int, set[str]] = {}
    for name, owner in zip(names, owners, strict=True):
        of_image.setdefault(owner, set()).add(name)
    return [Image(ages[owner], frozenset(tags)) for owner, tags in sorted(of_image.items())]


def ours(made: Translation, state: State) -> set[str]:
    return gone(
        made,
        *(
            aged(name, image.days + 0.5, f"image{number}", created_us=used(image.days + 0.5))
            for number, image in enumerate(state)
            for name in image.tags
        ),
    )


def names(images: Iterable[Image]) -> set[str]:
    return {name for image in images for name in image.tags}


def compare(made: Translation, theirs: Callable[[State], set[str]], state: State, *, exact: bool = True) -> None:
    mine, original = ours(made, state), theirs(state)
    assert mine <= original
    if exact:
        assert mine == original


@examples(100)
@given(states())
def test_a_translated_policy_of_deckschrubber_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        old: set[str] = set()
        passed = 0
        for image in state:
            for tag in sorted(image.tags):
                if not re.search("^v", tag):
                    continue
                if image.days < 20 or passed < 2:
                    passed += 1
                else:
                    old.add(tag)
        return names(image for image in state if image.tags <= old)

    compare(commanded("deckschrubber", "-tag", "^v", "-latest", "2", "-day", "20"), theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_registry_cli_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        chosen = [tag for image in state for tag in sorted(image.tags) if tag.startswith("v")]
        spared = {*chosen[:2], "latest"}
        return {
            tag for image in state if not image.tags & spared and image.has("v") for tag in image.tags
        }  # the whole image goes with its digest

    made = commanded("registry-cli", "-d", "-n", "2", "--order-by-date", "--tags-like", "^v", "--keep-tags", "latest")
    compare(made, theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_acr_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        return {tag for image in state if image.days >= 7 for tag in image.tags if tag.startswith(("v", "pr"))}

    compare(commanded("acr", "--filter", "shop/api:^v", "--filter", "shop/api:^pr", "--ago", "7d"), theirs, state,
            exact=False)  # fmt: skip


@examples(100)
@given(states())
def test_a_translated_policy_of_harbor_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        newest = [image for image in state if image.has("v")][:2]
        young = [image for image in state if image.has("pr-") and image.days < 14]
        return names(image for image in state if image not in newest and image not in young)

    def rule(template: str, number: int, pattern: str) -> dict[str, object]:
        selector = {"kind": "doublestar", "decoration": "matches", "pattern": pattern}
        return {"template": template, "params": {template: number}, "tag_selectors": [selector]}

    rules = [rule("latestPushedK", 2, "v*"), rule("nDaysSinceLastPush", 14, "pr-*")]
    compare(imported("harbor", {"rules": rules}), theirs, state)


@examples(100)
@given(states())
def test_a_translated_policy_of_zot_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        tags = [(tag, image.days) for image in state for tag in sorted(image.tags)]
        newest = [tag for tag, _ in tags if tag.startswith("v")][:2]
        young = [tag for tag, days in tags if tag.startswith("pr-") and days < 7]
        return {tag for tag, _ in tags} - {*newest, *young}

    entries = [{"patterns": ["^v"], "mostRecentlyPushedCount": 2}, {"patterns": ["^pr-"], "pushedWithin": "168h"}]
    made = imported("zot", {"policies": [{"repositories": ["shop/*"], "keepTags": entries}]}, None)
    compare(made, theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_ecr_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        first = [image for image in state if image.has("release")]
        second = [image for image in state if image.has("v")]
        expired = first[2:] + [image for image in second[2:] if image not in first]
        taken = first + second
        expired += [image for image in state if image.days >= 30 and image not in taken]
        return names(expired)

    def rule(priority: int, count: str, number: int, *prefixes: str) -> dict[str, object]:
        selection = {"tagStatus": "tagged" if prefixes else "any", "countType": count, "countNumber": number}
        more = {"tagPrefixList": list(prefixes)} if prefixes else {"countUnit": "days"}
        return {"rulePriority": priority, "selection": selection | more, "action": {"type": "expire"}}

    rules = [
        rule(1, "imageCountMoreThan", 2, "release"),
        rule(2, "imageCountMoreThan", 2, "v"),
        rule(3, "sinceImagePushed", 30),
    ]
    compare(imported("ecr", {"rules": rules}, "shop/api"), theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_gcp_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        deleted = [image for image in state if image.days >= 30 or (image.has("pr-") and image.days >= 5)]
        kept = [*state[:2], *(image for image in state if image.has("release"))]
        return names(image for image in deleted if image not in kept)

    policies = [
        {"name": "old", "action": {"type": "Delete"}, "condition": {"olderThan": "30d"}},
        {"name": "pr", "action": {"type": "Delete"}, "condition": {"tagPrefixes": ["pr-"], "olderThan": "5d"}},
        {"name": "rel", "action": {"type": "Keep"}, "condition": {"tagPrefixes": ["release"]}},
        {"name": "new", "action": {"type": "Keep"}, "mostRecentVersions": {"keepCount": 2}},
    ]
    compare(imported("gcp", policies), theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_gitlab_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        tags = [(tag, image.days) for image in state for tag in sorted(image.tags)]
        left = [(tag, days) for tag, days in tags if tag != "latest" and not re.fullmatch("release.", tag)]
        return {tag for tag, days in left[2:] if days >= 7}

    policy = {"keep_n": 2, "older_than": "7d", "name_regex": ".*", "name_regex_keep": "release."}
    compare(imported("gitlab", policy, "shop/api"), theirs, state, exact=False)


@examples(100)
@given(states())
def test_a_translated_policy_of_quay_deletes_no_more(state: State) -> None:
    def theirs(state: State) -> set[str]:
        tags = [(tag, image.days) for image in state for tag in sorted(image.tags)]
        return {tag for tag, _ in tags[3:]} | {tag for tag, days in tags if days >= 14}

    policies = [
        {"method": "number_of_tags", "value": 3},
        {"method": "creation_date", "value": "14d"},
    ]
    compare(imported("quay", policies, "shop/api"), theirs, state, exact=False)
