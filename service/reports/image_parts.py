"""The parts of an image, read from the registry on request. The requests do not count as pulls."""

from dataclasses import dataclass

from service.domain.oci.image_parts import ImagePart, image_parts
from service.domain.oci.platform import platform_of_config
from service.registry.client import RegistryClient

_MOST_READ = 20
_CONFIG_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """One image of an index, or the image itself.

    Attributes:
        platform: such as linux/arm64; "" if none is named.
        parts: its config and layers; () if the manifest was not read.
    """

    platform: str
    digest: str
    parts: tuple[ImagePart, ...]

    @property
    def size_bytes(self) -> int | None:
        """The size of config and layers, each once; None if they are not known."""
        sizes = {part.digest: part.size_bytes for part in self.parts if part.kind != "manifest"}
        return sum(sizes.values()) if sizes else None

    @property
    def layers(self) -> int:
        """The number of layers."""
        return sum(part.kind == "layer" for part in self.parts)


@dataclass(frozen=True, slots=True)
class ImageContents:
    """The images behind a manifest.

    Attributes:
        media_type: of the manifest.
        images: one for each platform; the first 20 are read, so that the answer comes at once.
    """

    media_type: str
    images: tuple[PlatformImage, ...]

    @property
    def size_bytes(self) -> int | None:
        """The size of all configs and layers, each once; None if the parts of an image are not known."""
        if not self.images or any(image.size_bytes is None for image in self.images):
            return None
        sizes = {part.digest: part.size_bytes for image in self.images for part in image.parts}
        return sum(sizes.values())


def image_contents(registry: RegistryClient, repository: str, digest: str) -> ImageContents | None:
    """Return the contents of an image; None if the registry does not have it.

    Raises:
        RegistryUnavailable, RegistryRefused: the registry cannot be asked.
    """
    manifest = registry.get(repository, digest)
    if manifest is None:
        return None
    parts = image_parts(manifest.media_type, manifest.content)
    if not any(part.kind == "manifest" for part in parts):
        return ImageContents(manifest.media_type, (_image(registry, repository, digest, parts),))
    images = [
        PlatformImage(part.platform, part.digest, _parts_of(registry, repository, part) if at < _MOST_READ else ())
        for at, part in enumerate(parts)
    ]
    return ImageContents(manifest.media_type, tuple(images))


def _parts_of(registry: RegistryClient, repository: str, part: ImagePart) -> tuple[ImagePart, ...]:
    manifest = registry.get(repository, part.digest)
    return image_parts(manifest.media_type, manifest.content) if manifest else ()


def _image(registry: RegistryClient, repository: str, digest: str, parts: tuple[ImagePart, ...]) -> PlatformImage:
    config = next((part for part in parts if part.kind == "config"), None)
    content = registry.blob(repository, config.digest, _CONFIG_BYTES) if config else None
    platforms = platform_of_config(content) if content else ()
    return PlatformImage(next(iter(platforms), ""), digest, parts)
