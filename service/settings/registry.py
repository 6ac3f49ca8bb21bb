"""The sections `registry` and `storage`: the registry, and the storage in which it keeps its images."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from service.documents.refusal import BothSet
from service.settings.kinds import File, Place, RegistryUrl, RegistryUrls, Seconds, StorageUrl
from service.settings.sections import SettingsPart


class RegistrySettings(SettingsPart):
    """The registry to keep small, and the login there."""

    url: RegistryUrl | None = Field(
        default=None, description="the URL of the registry: http://… or https://…, without /v2"
    )
    username: str | None = Field(default=None, min_length=1, description="a user who may pull, push and delete")
    password: SecretStr | None = Field(default=None, description="the password of that user")
    password_file: Place | None = Field(default=None, description="a file that holds the password")
    ca_file: File | None = Field(
        default=None, description="a PEM file with the authority that signed the registry's certificate"
    )
    docker_config: File | None = Field(default=None, description="Docker's config.json, to use its credentials")
    token_server: RegistryUrl | None = Field(
        default=None,
        description="the only token server that the login is sent to; unset: the one that the registry names",
    )
    timeout_s: Seconds = Field(default=10.0, description="how long to wait for an answer of the registry, in seconds")
    delete_timeout_s: Seconds = Field(
        default=300.0,
        description="how long to wait for the answer to a deletion, in seconds: large repositories take long",
    )
    debug_url: RegistryUrls | None = Field(
        default=None,
        description="the registry's debug server (http.debug.addr): http://…; of several registries a list. "
        "gc.gate: proxy needs it",
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("registry.password needs registry.username")
        if self.username is not None and self.password is None:
            raise ValueError("registry.username needs registry.password_file or registry.password")
        return self


class StorageSettings(SettingsPart):
    """The registry's storage, if this machine can access it."""

    path: Place | None = Field(
        default=None, description="the registry's rootdirectory, where it is mounted on this machine"
    )
    url: StorageUrl | None = Field(
        default=None,
        description="the same as a URL: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER",
    )
    endpoint: RegistryUrl | None = Field(
        default=None, description="the URL of an object storage that is not Amazon's, Google's or Azure's own"
    )
    region: str | None = Field(default=None, min_length=1, description="the region of an S3 bucket")
    path_style: bool = Field(
        default=True, description="name the S3 bucket in the path of a request; false: in its host name"
    )
    access_key: str | None = Field(
        default=None,
        min_length=1,
        description="the access key of S3, or the account of Azure; unset: from the environment or the machine's role",
    )
    secret_key: SecretStr | None = Field(default=None, description="the secret that belongs to this key or account")
    secret_key_file: Place | None = Field(default=None, description="a file that holds this secret")
    credentials_file: File | None = Field(
        default=None, description="the JSON file with the key of a service account, for Google"
    )
    ca_file: File | None = Field(
        default=None, description="a PEM file with the authority that signed the endpoint's certificate"
    )
    timeout_s: Seconds = Field(
        default=30.0, description="how long to wait for an answer of the object storage, in seconds"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.path and self.url:
            raise BothSet(("storage", "path"), ("storage", "url"))
        if self.access_key is not None and self.secret_key is None:
            raise ValueError("storage.access_key needs storage.secret_key_file or storage.secret_key")
        if self.secret_key is not None and self.access_key is None:
            raise ValueError("storage.secret_key needs storage.access_key")
        return self

    @property
    def folder(self) -> Path | None:
        """The registry's rootdirectory, if it is mounted on this machine."""
        return Path(urlsplit(self.url).path) if self.url and self.url.startswith("file:") else self.path

    @property
    def bucket(self) -> str | None:
        """The URL of the object storage; None if the storage is a folder or not set."""
        return None if self.folder else self.url
