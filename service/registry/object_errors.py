"""The errors of obstore, translated into those of pushprune."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions

from service.domain.errors import StorageRefused, StorageUnavailable

_DENIED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
# An error of S3 or Azure.
_ANSWER = re.compile(r"<Code>(\w+)</Code>\s*(?:<Message>([^<]*)</Message>)?")


@contextmanager
def translated(about: str) -> Iterator[None]:
    """Translate the errors of the block. about: the storage, and what could not be done."""
    try:
        yield
    except (exceptions.BaseError, OSError) as error:
        reason, text = reason_of(error), str(error)
        # A failed listing is a GenericError that has the status in its text only.
        if isinstance(error, _DENIED) or "403 Forbidden" in text or "401 Unauthorized" in text:
            raise StorageRefused(
                f"{about}: the storage refuses the login, or its rights do not suffice ({reason}): "
                "check the credentials and the policy of the bucket"
            ) from error
        if isinstance(error, FileNotFoundError) or "404 Not Found" in text:
            raise StorageRefused(f"{about}: there is no such bucket or folder: correct storage.url") from error
        raise StorageUnavailable(
            f"{about}: {reason}: look at the storage, its free space and the network between"
        ) from error


def reason_of(error: BaseException) -> str:
    """Return the words in which the storage refused a request, else the first line of the error without the XML."""
    if answer := _ANSWER.search(str(error)):
        return ": ".join(filter(None, answer.groups()))[:300]
    return first_line(error).rpartition("Error performing ")[2].partition("<?xml")[0].rstrip(": ")


def first_line(error: BaseException) -> str:
    """Return the first line of an error. obstore adds many lines of debug output."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
