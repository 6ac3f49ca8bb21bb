"""Images that a user protects from deletion."""

from pydantic import Field

from service.answers.base import ApiAnswer, TimeUs
from service.domain.timestamps import rfc3339
from service.prune.protecting import Protection


class ProtectionAnswer(ApiAnswer):
    """The images of one repository that were protected together, or whose protection ended."""

    repository: str = Field(description="name of the repository")
    tags: int = Field(description="number of tags in the request")
    images: int = Field(description="number of images that are protected, or whose protection ended")
    until: TimeUs | None = Field(description="until when nothing deletes them; null: the protection has ended")

    @classmethod
    def of(cls, repository: str, protection: Protection) -> "ProtectionAnswer":
        """Return the answer about a protection that began."""
        until = rfc3339(protection.until_us)
        return cls(repository=repository, tags=protection.tags, images=protection.images, until=until)

    @classmethod
    def ended(cls, repository: str, tags: int, images: int) -> "ProtectionAnswer":
        """Return the answer about a protection that ended."""
        return cls(repository=repository, tags=tags, images=images, until=None)
