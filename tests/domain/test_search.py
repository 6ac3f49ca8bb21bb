"""Search terms for names: a part of a name, or a glob of a whole name."""

import pytest

from service.domain.retention.selector import search_matcher

NAMES = ("ops/api", "shop/api", "shop/team/api", "shop/web")


@pytest.mark.parametrize(
    ("text", "result"),
    [("", NAMES), ("api", NAMES[:3]), ("shop/", NAMES[1:]), ("nothing", ()), ("shop/*", ("shop/api", "shop/web")),
     ("shop/**", NAMES[1:]), ("*/?pi", NAMES[:2]), ("[os]*/api", NAMES[:2]), ("SHOP", ())],
)  # fmt: skip
def test_finds(text: str, result: tuple[str, ...]) -> None:
    assert tuple(filter(search_matcher(text), NAMES)) == result


@pytest.mark.parametrize("text", ["!shop/*", "re:.*", "x" * 513, "a[z-a]*"])
def test_refuses_what_is_no_glob(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no glob|longer than 512|character class range"):
        search_matcher(text)
