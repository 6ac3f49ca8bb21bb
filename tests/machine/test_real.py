"""Some seeded journeys of the machine over the real registry, in which users meet our deletes."""

import random
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.real_registry import require_registry
from tests.fakes.valkey import Valkey
from tests.machine.ground import Ground
from tests.machine.machine import TAGS, quiet
from tests.machine.oracle import Rule
from tests.machine.shops import RealShop
from tests.machine.users import Deed, Users
from tests.machine.world import Cross, World

pytestmark = pytest.mark.live
_STEPS = 18
_DEEDS = ("push", "push", "push again", "move", "share", "delete", "pull", "sign", "attach", "push parts")


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(4, 8))])
def test_a_seeded_journey_ends_as_the_model_says(valkey: Valkey, tmp_path: Path, seed: int, ground: Ground) -> None:
    require_registry()
    chance = random.Random(seed)
    rule = Rule(1 + seed % 2, ("digests", "tags")[seed // 2 % 2], untagged=seed % 3 == 0)
    with RealShop(tmp_path / "registry") as shop:
        world = World(Ground(valkey.url, tmp_path, real=shop), "2.8", rule)
        try:
            for _ in range(_STEPS):
                _step(world, Users(world), chance)
            quiet(world)
        finally:
            world.close()


def _step(world: World, users: Users, chance: random.Random) -> None:
    deed = Deed(chance.choice(_DEEDS), chance.choice(TAGS), chance.randrange(9))
    late = chance.random() < 0.4
    match chance.choice(("do", "do", "do", "race", "race", "die", "settle", "quiet", "restart")):
        case "do":
            users.do(deed, late=late)
        case "race":
            users.overflow()
            world.work("enforce")
            cross = Cross(0, chance.choice(("before", "after")), partial(users.do, deed, late=late), "DELETE")
            world.work("delete", (cross,))
        case "die":
            users.overflow()
            world.work(chance.choice(("enforce", "delete")), kill=(chance.randrange(25), chance.random() < 0.5))
            world.time_passes()
        case "settle":
            world.settle()
        case "quiet":
            quiet(world)
        case "restart":
            world.restart()
