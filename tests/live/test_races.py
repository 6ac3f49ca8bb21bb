"""The registry's own races, provoked on the real registry: whatever is lost is put back (FACTS, safety rule 5)."""

from collections.abc import Callable

import pytest

from tests.live.conftest import LiveSystem, last, wait_until

pytestmark = pytest.mark.live
ROUNDS = 15


def _push_until_taken(system: LiveSystem, tag: str, seed: str) -> str:
    """The digest pushed. 2.8.3 answers 500 to a PUT that meets a DELETE of the same tag: a user pushes again."""
    for _ in range(10):
        try:
            return system.pusher.push_image("shop/api", tag, seed=seed, layers=0)
        except AssertionError as error:
            if ": 500 " not in str(error):
                raise
    pytest.fail("the registry does not take the push")


def test_a_tag_pushed_again_while_its_old_digest_is_deleted_ends_at_its_last_push(
    live: Callable[..., LiveSystem],
) -> None:
    system = live(policy=last(1))
    system.start_worker()
    for number in range(ROUNDS):
        _push_until_taken(system, "moving", f"old {number}")
        _push_until_taken(system, "top", f"top {number}")
        pushed = _push_until_taken(system, "moving", f"new {number}")

        def stands(pushed: str = pushed) -> bool:
            return system.pusher.digest_of("shop/api", "moving") == pushed and system.tags("shop/api") == {"moving"}

        wait_until(lambda: system.quiet() and system.heard("shop/api", {"moving"}) and stands(), f"round {number}")
    system.pusher.pull_whole("shop/api", "moving")
