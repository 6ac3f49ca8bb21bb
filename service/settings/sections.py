"""The sections of the settings, with keys, defaults and descriptions; without the long ones (registry.py, gc.py)."""

from typing import Annotated, Literal, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from service.domain.policy.units import Duration
from service.settings.kinds import (
    Cron,
    File,
    Header,
    Names,
    Networks,
    Place,
    Prefix,
    RedisUrl,
    RepositoryName,
    Root,
    Token,
    Whole,
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
    max_age: Annotated[Duration, Field(ge=3600)] = Field(
        default=400 * 86_400,
        description="the age at which these events, pulls and rejected notifications are dropped, even if there is "
        "room for more; the history of a repository is not shortened by age",
    )
    trash: Annotated[Duration, Field(ge=1)] = Field(
        default=30 * 86_400, description="how long deleted images can be restored, unless a collection comes first"
    )
    trash_dir: Place | None = Field(
        default=None,
        description="a folder that also keeps deleted images, for `pushprune restore --from`; unset: only Redis does",
    )


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
