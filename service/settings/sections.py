"""The sections of the settings: one for each part of the product, with keys, defaults and descriptions."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from service.domain.policy.units import Duration, Size
from service.settings.kinds import (
    Address,
    Command,
    Cron,
    File,
    Header,
    Names,
    Networks,
    Place,
    Prefix,
    RedisUrl,
    RegistryUrl,
    RegistryUrls,
    RepositoryName,
    Root,
    Script,
    Seconds,
    StorageUrl,
    Token,
    Whole,
    Window,
)

SHORTEST_TOKEN = 16


class SettingsPart(BaseModel):
    """A section. Errors never show its values, which may be secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RedisSettings(SettingsPart):
    """Redis, which stores the history."""

    url: RedisUrl | None = Field(
        default=None,
        # The URL may contain a password.
        repr=False,
        description="the URL of Redis or Valkey: redis://…, rediss://…, unix://… or, with Sentinel, "
        "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/0",
    )
    url_file: Place | None = Field(default=None, description="a file that holds the URL")
    sentinel_password: SecretStr | None = Field(default=None, description="the password of the sentinels")
    sentinel_password_file: Place | None = Field(default=None, description="a file that holds this password")
    ca_file: File | None = Field(
        default=None, description="a PEM file with the authority that signed the certificate of Redis (rediss)"
    )
    certificate_file: File | None = Field(
        default=None, description="a PEM file with the client certificate that Redis asks for"
    )
    key_file: File | None = Field(default=None, description="a PEM file with the key of the client certificate")
    replicas: int = Field(
        default=0,
        ge=0,
        description="an event is accepted, and a deletion begun, only once so many replicas have received it, so that "
        "a failover loses nothing",
    )
    prefix: Prefix = Field(default="pushprune:", description="the beginning of every key and channel")

    @model_validator(mode="after")
    def _files_have_a_use(self) -> Self:
        given = [name for name in ("ca_file", "certificate_file", "key_file") if getattr(self, name)]
        if given and self.url is not None and not self.url.startswith("rediss"):
            raise ValueError(f"redis.{given[0]} needs a URL with TLS: rediss://… or rediss+sentinel://…")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("redis.certificate_file and redis.key_file need each other")
        if self.sentinel_password is not None and self.url is not None and "+sentinel://" not in self.url:
            raise ValueError("redis.sentinel_password needs a URL of sentinels: redis+sentinel://…")
        return self

    @property
    def address(self) -> str | None:
        """The URL with the other settings as its options. It contains the passwords."""
        options = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
            "sentinel_password": self.sentinel_password and self.sentinel_password.get_secret_value(),
        }
        query = urlencode({name: str(value) for name, value in options.items() if value is not None})
        return f"{self.url}{'&' if '?' in self.url else '?'}{query}" if self.url and query else self.url


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


class TokenSettings(SettingsPart):
    """The tokens for HTTP, and their rights."""

    notify: Token | None = Field(default=None, description="the registry's token: may only post notifications")
    notify_file: Place | None = Field(default=None, description="a file that holds this token")
    read: Token | None = Field(default=None, description="may read everything")
    read_file: Place | None = Field(default=None, description="a file that holds this token")
    admin: Token | None = Field(default=None, description="may also change and delete")
    admin_file: Place | None = Field(default=None, description="a file that holds this token")

    @property
    def weakness(self) -> str:
        """The reason why these tokens are too weak for an address that other machines can reach; "" if they are not."""
        given = {
            name: token.get_secret_value() for name in ("notify", "read", "admin") if (token := getattr(self, name))
        }
        if short := [name for name, token in given.items() if len(token) < SHORTEST_TOKEN]:
            return (
                f"tokens.{short[0]} has less than {SHORTEST_TOKEN} characters and can be guessed: make one with "
                "`openssl rand -hex 32`"
            )
        if len(set(given.values())) < len(given):
            return "two tokens are the same: give each its own, as the registry knows one of them"
        return ""


class WebSettings(SettingsPart):
    """The dashboard, and the proxy in front of it."""

    prefix: Root = Field(default="", description="the path of the dashboard at the proxy, such as /pushprune")
    proxies: Networks = Field(
        default=[],
        description="addresses or networks of the proxies whose X-Forwarded-… headers and `user_header` count",
    )
    user_header: Header | None = Field(
        default=None, description="the header in which these proxies name the user who logged in there"
    )
    admins: Names = Field(
        default=[], description="the users of `user_header` who may make changes; all others are read-only"
    )
    session: Annotated[Duration, Field(ge=60)] = Field(default=43_200, description="how long a login lasts")

    @model_validator(mode="after")
    def _users_come_from_proxies(self) -> Self:
        if self.user_header and not self.proxies:
            raise ValueError("web.user_header needs web.proxies: only these proxies may name the user")
        if self.admins and not self.user_header:
            raise ValueError("web.admins needs web.user_header, in which the proxy names who signed in")
        return self


class DeleteSettings(SettingsPart):
    """The deletion of images."""

    via: Literal["api", "storage"] = Field(
        default="api",
        description="over the registry's HTTP API, or in its storage (`storage.path` or `storage.url`)",
    )
    batch_size: Whole = Field(default=100, le=10_000, description="the digests that a worker deletes in one batch")
    parallel: Whole = Field(default=8, le=64, description="the requests to the registry at the same time")


class ReconcileSettings(SettingsPart):
    """The comparison of the history with the registry, besides the one at the first start and after every restart."""

    schedule: Cron | None = Field(default="17 3 * * *", description="a schedule: minute hour day month weekday, in UTC")
    rate: Whole = Field(default=200, le=100_000, description="the largest number of requests per second")
    late: Duration = Field(
        default=600,
        description="how late a push may be reported: a tag whose push was not reported is kept for that long",
    )
    repositories: tuple[RepositoryName, ...] = Field(
        default=(), description="repositories to compare besides the known ones, if the registry shows no catalog"
    )


class GcSettings(SettingsPart):
    """Garbage collection at the registry."""

    command: Command | None = Field(
        default=None,
        description="the command that runs garbage-collect, as one line or a list of words; unset: `collector: "
        "registry` never collects",
    )
    collector: Literal["registry", "online"] = Field(
        default="registry",
        description="who deletes blobs: `gc.command` while all writes wait, or pushprune itself, in the storage, while "
        "clients push",
    )
    grace: Annotated[Duration, Field(ge=1)] = Field(
        default=86_400,
        description="for `collector: online`: the time between the deletion of a blob's links and that of its data, at "
        "least 15m",
    )
    quarantine: Duration = Field(
        default=86_400,
        description="for `collector: online`: how long deleted data is kept in a folder of the storage; 0: data of "
        "configs and layers is deleted at once",
    )
    leftovers: Literal["report", "delete"] = Field(
        default="report",
        description="for `collector: online`: report abandoned uploads, dangling tags, unused layer links and emptied "
        "repositories, or delete them, too",
    )
    uploads_after: Annotated[Duration, Field(ge=86_400)] = Field(
        default=7 * 86_400,
        description="for `collector: online`: an upload without a write for this long is abandoned, at least 1d",
    )
    schedule: Cron | None = Field(default=None, description="a schedule: minute hour day month weekday, in UTC")
    after_deletes: Whole | None = Field(default=None, description="collect after this many deletions; unset: never")
    after_bytes: Annotated[Size, Field(ge=1)] | None = Field(
        default=None, description="collect once this much was deleted, such as 10GB; unset: never"
    )
    window: Window | None = Field(
        default=None, description="the hours in which a collection may begin, in UTC: 22:00-06:00"
    )
    min_interval: Duration = Field(
        default=0, description="the shortest time between the end of a collection and the next one"
    )
    gate: Literal["none", "proxy", "readonly"] = Field(
        default="none", description="the protection of pushes during a collection"
    )
    before: Script | None = Field(
        default=None, description="the command that restarts the registry read-only, for gate: readonly"
    )
    after: Script | None = Field(default=None, description="the command that restarts the registry as it was")
    timeout: Annotated[Duration, Field(ge=1)] = Field(
        default=3600, description="a collection that takes longer is killed"
    )
    settle: Duration = Field(
        default=10,
        description="the pause before a run: after pushprune's last deletion, without a gate after the last push",
    )
    max_wait: Duration = Field(
        default=300, description="how long a run waits for deletions and pushes to end before it is postponed"
    )
    gate_listen: Address = Field(
        default="127.0.0.1:8081", description="HOST:PORT where `pushprune gate` listens for the proxy's requests"
    )
    gate_wait: Annotated[Duration, Field(ge=1, le=600)] = Field(
        default=60, description="how long a write waits at the gate before it gets 503"
    )
    gate_waiting: Whole = Field(
        default=32, le=512, description="the number of writes that may wait in each gate process"
    )
    gate_without_redis: Literal["auto", "closed", "open"] = Field(
        default="auto",
        description="the gate while Redis is away; auto: closed while a collection may be running, else open",
    )
    youth: Annotated[Duration, Field(ge=1)] = Field(
        default=3600,
        description="a blob younger than this is deleted only if a manifest that held it was deleted; with "
        "`collector: online`, for which it is at least 15m, never",
    )

    @model_validator(mode="after")
    def _readonly_can_be_made_and_ended(self) -> Self:
        if self.gate == "readonly" and not (self.before and self.after):
            raise ValueError("gc.gate: readonly needs gc.before and gc.after, which restart the registry")
        return self


class HistorySettings(SettingsPart):
    """The limits of the history and of the trash."""

    repository_entries: Whole = Field(default=1000, description="the newest entries that are kept of each repository")
    repository_layers: Whole = Field(
        default=1000,
        description="the manifests of each repository whose layers are remembered; of a repository with more, the size "
        "is a lower bound",
    )
    unseen_repositories: Annotated[int, Field(ge=1)] = Field(
        default=1000,
        description="repositories that notifications named and that were not found at the registry yet; more are "
        "not recorded",
    )
    events: Whole = Field(default=100_000, description="the newest events that are kept of all repositories")
    pulls: Whole = Field(default=100_000, description="the newest pulls that are kept of all repositories")
    rejected: Whole = Field(
        default=1000, description="the newest notifications that are kept and could not be understood"
    )
    runs: Whole = Field(default=1000, description="the newest garbage collections that are kept")
    trash: Annotated[Duration, Field(ge=1)] = Field(
        default=30 * 86_400, description="how long deleted images can be restored, unless a collection comes first"
    )
    trash_dir: Place | None = Field(
        default=None,
        description="a folder that also keeps deleted images, for `pushprune restore --from`; unset: only Redis does",
    )


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
            raise ValueError("storage.path and storage.url are both set; keep one of them")
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


class ApiSettings(SettingsPart):
    """The limits of the API."""

    changes_per_minute: Whole = Field(
        default=120,
        description="the largest number of changes (approvals, deletions, restores, …) per minute, in all processes",
    )


class LogSettings(SettingsPart):
    """The log."""

    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="the format of the log; auto: console on a terminal, else json"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the lowest level that is logged"
    )
