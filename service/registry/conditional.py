"""Delete an object of S3 or Azure only if it is still what it was (If-Match). obstore itself has no such request."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from service.domain.errors import StorageRefused, StorageUnavailable
from service.registry.layout import OURS

_VALID_FOR = timedelta(minutes=5)
_PARALLEL = 16
_NO_ETAG = "0" * 32


class ConditionalDeletion:
    """Deletions with a condition, as requests that obstore signs.

    Args:
        store: the obstore store.
        name: its URL, for messages.
        ca_file: the authority that signed the certificate of the storage; None for the known ones.
        timeout_s: for an answer.
    """

    def __init__(self, store: Any, name: str, ca_file: Path | None, timeout_s: float) -> None:
        self._store, self._name, self._timeout_s = store, name, timeout_s
        self._session = requests.Session()
        self._session.verify = str(ca_file) if ca_file else True
        # Only what was never sent is repeated. After any other failure the storage may carry out the request later, and
        # the ETag of a tag is the same after a push of the same image: the caller must look at the tag again.
        retry = Retry(total=None, connect=3, read=False, status=0, other=0, redirect=0, backoff_factor=0.2)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=_PARALLEL))
        self._is_obeyed: bool | None = None

    @property
    def is_obeyed(self) -> bool:
        """True if the storage obeys the condition. Tried once, with an object that the registry does not look at."""
        if self._is_obeyed is None:
            key = f"{OURS}/probe/{uuid4().hex}"
            obstore.put(self._store, key, b"1", use_multipart=False)
            try:
                is_deleted = self.delete(key, _NO_ETAG)
                self._is_obeyed = not is_deleted and obstore.get(self._store, key).bytes() == b"1"
            except (StorageRefused, FileNotFoundError):
                self._is_obeyed = False
            finally:
                obstore.delete(self._store, key)
        return self._is_obeyed

    def delete(self, key: str, etag: str) -> bool:
        """Delete an object with this ETag; False if it has another one by now.

        Raises:
            StorageUnavailable: no answer, or 5xx. The object may have been deleted.
            StorageRefused: the storage does not take this request.
        """
        # The headers of a signed URL are not signed, except for Host. S3 obeys If-Match all the same.
        url = obstore.sign(self._store, "DELETE", key, _VALID_FOR)
        try:
            response = self._session.delete(url, headers={"If-Match": f'"{etag}"'}, timeout=self._timeout_s)
        except requests.RequestException as error:
            raise StorageUnavailable(f"{self._name}: {key} was not deleted: {type(error).__name__}") from error
        # 409: S3 answers so if another request changes the object at the same time.
        if response.status_code in (409, 412):
            return False
        if response.status_code >= 500:
            raise StorageUnavailable(f"{self._name}: {key} was not deleted: {response.status_code}")
        if not response.ok and response.status_code != 404:
            raise StorageRefused(f"{self._name}: {key} was not deleted: {response.status_code}")
        return True
