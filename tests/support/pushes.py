"""Pushes of manifests, signatures and artifacts, and changes whose notifications are late."""

from collections.abc import Callable
from typing import TypeVar

from tests.fakes.images import Image, index_over, make_image
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


def sign(system: System, tag: str, kind: str = ".sig") -> str:
    """Sign a tag as cosign does; return the signature's tag."""
    name = system.registry.tags(SHOP)[tag].replace(":", "-") + kind
    system.registry.push(SHOP, name, make_image(name))
    return name


def attach(system: System, image: Image) -> tuple[str, Image]:
    """Attach an artifact to an image as oras does: by digest, and listed by a fallback index."""
    artifact = make_image(f"about {image.digest}", subject=image)
    tag = image.digest.replace(":", "-")
    system.registry.push(SHOP, tag, index_over([artifact]))
    return tag, artifact
