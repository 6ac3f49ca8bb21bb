"""Open the registry's storage by its URL: a bucket of S3, Google or Azure, or a folder. Needs the extra `storage`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from service.domain.errors import ConfigurationError
from service.registry.conditional import ConditionalDeletion
from service.registry.object_deletion import FileDeletion, ObjectDeletion
from service.registry.objects import PAGE, ObjectStore

_RETRIES = 5
# The keys in one request of obstore. Google has no bulk deletion.
_DELETED_AT_ONCE = {"s3": 1000, "az": 256, "gs": 1}


@dataclass(frozen=True, slots=True)
class Bucket:
    """The address of an object storage, and the login there. None: obstore takes it from the environment.

    Attributes:
        url: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX.
        path_style: True to name the S3 bucket in the path of a request, False in its host name.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = True
    access_key: str | None = None
    secret_key: str | None = None
    credentials_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = 30.0


def open_folder(root: Path) -> ObjectStore | None:
    """The objects of a mounted storage; None if the folder does not exist."""
    # A folder that is left empty is kept: a push may just have created it.
    if not root.is_dir():
        return None
    store = LocalStore(root, automatic_cleanup=False)
    return ObjectStore(store, str(root), deletion=FileDeletion(store, str(root), PAGE, is_local=True))


def open_bucket(bucket: Bucket) -> ObjectStore:
    """The objects of an object storage. Nothing is requested yet.

    Raises:
        ConfigurationError: the options do not fit to each other.
    """
    try:
        store, once = _store(bucket, _RETRIES), _store(bucket, 0)
    except (exceptions.BaseError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(f"storage.url {bucket.url} cannot be used: {reason}") from error
    # Google has a condition of its own, which is not for ETags.
    is_google = bucket.url.startswith("gs:")
    conditional = None if is_google else ConditionalDeletion(store, bucket.url, bucket.ca_file, bucket.timeout_s)
    page = _DELETED_AT_ONCE[bucket.url.partition(":")[0]]
    return ObjectStore(store, bucket.url, conditional, ObjectDeletion(once, bucket.url, page, is_local=False))


def _store(bucket: Bucket, retries: int) -> S3Store | GCSStore | AzureStore:
    parts = urlsplit(bucket.url)
    prefix = parts.path.strip("/") or None
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=bucket.timeout_s),
        "connect_timeout": timedelta(seconds=5),
        "allow_http": bool(bucket.endpoint and bucket.endpoint.startswith("http://")),
    }
    if bucket.ca_file:
        client["root_certificate"] = bucket.ca_file.read_bytes()
    # A request and its retries end at the latest after twice `timeout_s`.
    retry = {"max_retries": retries, "retry_timeout": timedelta(seconds=bucket.timeout_s)}
    common: dict[str, Any] = {"prefix": prefix, "client_options": client, "retry_config": retry}
    if parts.scheme == "gs":
        google = {"service_account": str(bucket.credentials_file)} if bucket.credentials_file else {}
        return GCSStore(parts.netloc, **common, **_given(google))
    if parts.scheme == "az":
        azure = {"account_name": bucket.access_key, "account_key": bucket.secret_key, "endpoint": bucket.endpoint}
        return AzureStore(parts.netloc, **common, **_given(azure))
    s3 = {
        "endpoint": bucket.endpoint,
        "region": bucket.region,
        "access_key_id": bucket.access_key,
        "secret_access_key": bucket.secret_key,
        "virtual_hosted_style_request": not bucket.path_style,
    }
    return S3Store(parts.netloc, **common, **_given(s3))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
