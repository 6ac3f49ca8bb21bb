"""The sections of the settings: each a part of the product, with its keys, their defaults and what they are for."""

from typing import Annotated, Literal

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
    Token,
    Whole,
    Window,
)

SHORTEST_TOKEN = 16


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Redis(Part):
    """Where the history lives."""

    url: RedisUrl | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="redis://…, rediss://… or unix://…",
    )
    url_file: Place | None = Field(default=None, description="a file that holds the URL")
    prefix: Prefix = Field(default="pushprune:", description="in front of every key")


class Registry(Part):
    """The registry to keep small, and how to log in there."""

    url: RegistryUrl | None = Field(default=None, description="http://… or https://…, without /v2")
    username: str | None = Field(default=None, min_length=1, description="a user who may pull, push and delete")
    password: SecretStr | None = Field(default=None, description="of that user")
    password_file: Place | None = Field(default=None, description="a file that holds the password")
    ca_file: File | None = Field(default=None, description="the authority that signed its certificate, as PEM")
    docker_config: File | None = Field(default=None, description="Docker's config.json, for its credentials")
    token_server: RegistryUrl | None = Field(
        default=None, description="the only token server that the login is sent to; unset: whichever the registry names"
    )
    timeout_s: Seconds = Field(default=10.0, description="how long to wait for an answer, in seconds")
    delete_timeout_s: Seconds = Field(
        default=300.0,
        description="how long to wait for the answer to a deletion, in seconds: large repositories take long",
    )
    debug_url: RegistryUrls | None = Field(
        default=None,
        description="its debug server (http.debug.addr): http://…, of several registries all; needed by gc.gate: proxy",
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> "Registry":
        if self.password is not None and self.username is None:
            raise ValueError("registry.password needs registry.username")
        if self.username is not None and self.password is None:
            raise ValueError("registry.username needs registry.password_file or registry.password")
        return self


class Tokens(Part):
    """Who may do what over HTTP."""

    notify: Token | None = Field(default=None, description="the registry's: may only post notifications")
    notify_file: Place | None = Field(default=None, description="a file that holds it")
    read: Token | None = Field(default=None, description="may look at everything")
    read_file: Place | None = Field(default=None, description="a file that holds it")
    admin: Token | None = Field(default=None, description="may change and delete")
    admin_file: Place | None = Field(default=None, description="a file that holds it")

    @property
    def weakness(self) -> str:
        """What makes these tokens too weak for strangers, and what to do; "" if nothing does."""
        given = {
            name: token.get_secret_value() for name in ("notify", "read", "admin") if (token := getattr(self, name))
        }
        if short := [name for name, token in given.items() if len(token) < SHORTEST_TOKEN]:
            return (
                f"tokens.{short[0]} has less than {SHORTEST_TOKEN} characters and can be guessed: make one with "
                "`openssl rand -hex 32`"
            )
        if len(set(given.values())) < len(given):
            return "two tokens are the same: give each its own, as one of them is known to the registry"
        return ""


class Web(Part):
    """The dashboard, and the proxy in front of it."""

    prefix: Root = Field(default="", description="the path it stands under at the proxy, such as /pushprune")
    proxies: Networks = Field(
        default=[], description="addresses or networks whose X-Forwarded-… headers are believed, and `user_header`"
    )
    user_header: Header | None = Field(default=None, description="in which these proxies name who signed in there")
    admins: Names = Field(default=[], description="those of them who may change things; the others look")
    session: Annotated[Duration, Field(ge=60)] = Field(default=43_200, description="how long a login lasts")

    @model_validator(mode="after")
    def _somebody_says_who_it_is(self) -> "Web":
        if self.user_header and not self.proxies:
            raise ValueError("web.user_header needs web.proxies, which say whose word is taken for it")
        if self.admins and not self.user_header:
            raise ValueError("web.admins needs web.user_header, in which the proxy names who signed in")
        return self


class Delete(Part):
    """How images are deleted."""

    via: Literal["api", "storage"] = Field(
        default="api",
        description="the registry's HTTP API; or `storage`: on its disk, mounted read-write at `storage.path`",
    )
    batch_size: Whole = Field(default=100, le=10_000, description="digests that a worker takes on at a time")
    parallel: Whole = Field(default=8, le=64, description="requests to the registry at the same time")


class Reconcile(Part):
    """When the history is compared with the registry, beside the first start and every restart."""

    schedule: Cron | None = Field(default="17 3 * * *", description="minute hour day month weekday, in UTC")
    rate: Whole = Field(default=200, le=100_000, description="requests a second at most")
    late: Duration = Field(
        default=600, description="how late a push may be told: a tag nobody announced is kept for so long"
    )
    repositories: tuple[RepositoryName, ...] = Field(
        default=(), description="those to look at besides the known ones where the registry shows no catalog"
    )


class Gc(Part):
    """When and how the registry's garbage is collected."""

    command: Command | None = Field(default=None, description="one line, or a list of words; unset: never collect")
    schedule: Cron | None = Field(default=None, description="minute hour day month weekday, in UTC")
    after_deletes: Whole | None = Field(default=None, description="collect after so many deletes; unset: never")
    after_bytes: Annotated[Size, Field(ge=1)] | None = Field(
        default=None, description="collect once so much was deleted, such as 10GB; unset: never"
    )
    window: Window | None = Field(default=None, description="hours in which one may begin, in UTC: 22:00-06:00")
    min_interval: Duration = Field(default=0, description="how long after the end of one the next may begin")
    gate: Literal["none", "proxy", "readonly"] = Field(
        default="none", description="what keeps others from pushing meanwhile"
    )
    before: Script | None = Field(default=None, description="restarts the registry read-only; for gate: readonly")
    after: Script | None = Field(default=None, description="restarts the registry as it was")
    timeout: Annotated[Duration, Field(ge=1)] = Field(default=3600, description="a longer run is killed")
    settle: Duration = Field(
        default=10,
        description="how long after the last delete of ours, and without a gate the last push, a run may begin",
    )
    max_wait: Duration = Field(default=300, description="how long a run waits for those it must not meet")
    gate_listen: Address = Field(
        default="127.0.0.1:8081", description="HOST:PORT where `pushprune gate` listens for the proxy's questions"
    )
    gate_wait: Annotated[Duration, Field(ge=1, le=600)] = Field(
        default=60, description="how long a write waits at the gate before it is told to come back"
    )
    gate_waiting: Whole = Field(default=32, le=512, description="how many writes wait in each gate process")
    gate_without_redis: Literal["auto", "closed", "open"] = Field(
        default="auto", description="while Redis is away; auto: closed while a collection may be running"
    )
    youth: Annotated[Duration, Field(ge=1)] = Field(
        default=3600, description="a blob this young is swept only where it is known why it is not needed"
    )

    @model_validator(mode="after")
    def _readonly_can_be_made_and_ended(self) -> "Gc":
        if self.gate == "readonly" and not (self.before and self.after):
            raise ValueError("gc.gate: readonly needs gc.before and gc.after, which restart the registry")
        return self


class History(Part):
    """How much is remembered."""

    repository_entries: Whole = Field(default=1000, description="entries of each repository")
    repository_layers: Whole = Field(
        default=1000, description="manifests of each repository whose layers are remembered"
    )
    unseen_repositories: Annotated[int, Field(ge=1)] = Field(
        default=1000,
        description="repositories that notifications named and that nobody has seen at the registry yet; more are "
        "not recorded",
    )
    events: Whole = Field(default=100_000, description="events of all repositories")
    pulls: Whole = Field(default=100_000, description="pulls of all repositories")
    rejected: Whole = Field(default=1000, description="notifications that could not be understood")
    runs: Whole = Field(default=1000, description="garbage collections")
    trash: Annotated[Duration, Field(ge=1)] = Field(
        default=30 * 86_400, description="how long what was deleted can be put back, until it is collected"
    )
    trash_dir: Place | None = Field(
        default=None,
        description="a folder that also keeps deleted images, for `pushprune restore --from`; unset: only Redis does",
    )


class Storage(Part):
    """The registry's storage, where this machine can see it."""

    path: Place | None = Field(default=None, description="where it is mounted")


class Api(Part):
    """What programs may ask for over HTTP."""

    changes_per_minute: Whole = Field(
        default=120,
        description="changes (approvals, deletions, restorations, …) over the API at most, by all processes",
    )


class Log(Part):
    """What is said while running."""

    format: Literal["auto", "console", "json"] = Field(default="auto", description="auto: console on a terminal")
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least to be said")
