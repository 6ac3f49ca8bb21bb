"""Makers for tests of healing."""

from collections.abc import Callable
from typing import TypeVar

from tests.fakes.images import Image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, System

Done = TypeVar("Done")


def unheard(system: System, do: Callable[[], Done]) -> Done:
    """A push or delete whose events are late."""
    system.deaf = True
    done = do()
    system.deaf = False
    return done


def put(system: System, tag: str, image: Image) -> str:
    """A push of a manifest whose parts are there already."""
    return Pusher(system.registry.url).put(SHOP, tag, image.media_type, image.manifest)
