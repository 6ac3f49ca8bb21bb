"""Makers for tests of referrers."""

from tests.fakes.images import Image, index_over, make_image
from tests.support.system import SHOP, System


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
