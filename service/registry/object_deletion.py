"""Delete objects so that it is certain which requests have ended."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import obstore
from obstore import exceptions

from service.domain.errors import StorageUnavailable
from service.registry import folder
from service.registry.object_errors import first_line, reason_of

_PARALLEL = 16
# Requests to a storage that is busy, and the first pause between them, which doubles.
_TRIES = 6
_PAUSE_S = 0.1
_REFUSALS = (FileNotFoundError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
_STATUS = re.compile(r"status code: (\d{3})")


class ObjectDeletion:
    """The deletions in one storage.

    A request whose answer did not arrive may still be carried out, and would then delete an object that a client has
    written again since. Deletions that succeed afterwards prove nothing about it.

    Args:
        store: the obstore store. On object storage it must send each request once (`max_retries: 0`): of a request that
            it repeats it tells the last answer only. What reqwest below it repeats by itself was never sent.
        name: its URL, for messages.
        page: the largest number of keys in one request; 1: the storage has no bulk deletion. If obstore divided a call
            into several requests, an error of one would make it abandon the others.
        is_local: True for files and memory, where nothing is carried out after the call.
    """

    def __init__(self, store: Any, name: str, page: int, *, is_local: bool) -> None:
        self._store, self._name, self._page, self._is_local = store, name, page, is_local

    def delete(self, keys: Iterable[str], before_each: Callable[[], object]) -> dict[str, str]:
        """Delete objects.

        Args:
            keys: a key that does not exist is no error.
            before_each: called right before each request. An exception of it ends the deletion.

        Returns:
            The keys that were not deleted, each with the error. No request to delete them is in progress.

        Raises:
            StorageUnavailable: the storage did not answer, and may still delete some of the objects.
        """
        names = tuple(dict.fromkeys(keys))
        failed: dict[str, str] = {}
        for start in range(0, len(names), self._page):
            page = names[start : start + self._page]
            # obstore reports the first failure only, and for some storages a missing object is one. So each key is
            # deleted alone, to learn which ones fail.
            if self._page == 1 or self._request(page, before_each):
                failed |= self._delete_each(page, before_each)
        return failed

    def bulk_error(self, keys: Sequence[str]) -> str:
        """Delete objects in one request; return its error, or "" also if the storage has no such request."""
        return self._request(keys, lambda: None) if self._page > 1 else ""

    def _delete_each(self, keys: Sequence[str], before_each: Callable[[], object]) -> dict[str, str]:
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="objects") as pool:
            requests = {key: pool.submit(self._request, [key], before_each) for key in keys}
        # An answer that is missing is the worst of all errors.
        errors = [request.exception() for request in requests.values()]
        for error in sorted(filter(None, errors), key=lambda error: not isinstance(error, StorageUnavailable)):
            raise error
        return {key: request.result() for key, request in requests.items() if request.result()}

    def _request(self, keys: Sequence[str], before_each: Callable[[], object]) -> str:
        """Send one request, again while the storage is busy. Returns its error, or ""."""
        pause_s, error = _PAUSE_S, ""
        for _ in range(_TRIES):
            before_each()
            try:
                obstore.delete(self._store, list(keys))
            except FileNotFoundError as missing:
                return "" if len(keys) == 1 else reason_of(missing)
            except (exceptions.BaseError, OSError) as failure:
                error = reason_of(failure)
                if not self._is_local and not _is_answered(failure):
                    raise StorageUnavailable(
                        f"{self._name}: a request to delete {len(keys)} objects was not answered, and may still be "
                        f"carried out ({error}): look at the storage and the network between"
                    ) from failure
                if not _is_busy(failure):
                    return error
            else:
                return ""
            time.sleep(pause_s)
            pause_s *= 2
        return error


class FileDeletion(ObjectDeletion):
    """The deletions in a mounted folder, one file after the other: obstore takes twice as long. `name`: the folder."""

    def delete(self, keys: Iterable[str], before_each: Callable[[], object]) -> dict[str, str]:
        """Delete files. `before_each` is called once."""
        before_each()
        return folder.delete(self._name, keys)


def _is_answered(error: BaseException) -> bool:
    """True if the request has ended: the storage itself refused it, or it was never sent."""
    if isinstance(error, _REFUSALS):
        return True
    text = str(error)
    if status := _status(error):
        # An answer in the protocol's format is the storage's own; otherwise a proxy may have sent the request on. After
        # 500 and 504 a storage may continue in the background.
        return status < 500 or (status == 503 and "<Code>" in text)
    # The errors of single keys, in an answer with status 200. obstore shows all of an answer with SlowDown.
    return "request failed for key" in text or "<DeleteResult" in text or "kind: Connect," in text


def _is_busy(error: BaseException) -> bool:
    return _status(error) in (429, 503) or "SlowDown" in str(error)


def _status(error: BaseException) -> int:
    status = _STATUS.search(first_line(error))
    return int(status[1]) if status else 0
