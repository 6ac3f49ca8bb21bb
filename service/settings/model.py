"""All sections of the settings together, and the checks between them; the sections themselves are in sections.py."""

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.domain.collection.online import LONGEST_REQUEST_S
from service.domain.policy.model import Policy
from service.settings.gc import GcSettings
from service.settings.kinds import Place, Section, is_loopback, listen_host, to_path
from service.settings.registry import RegistrySettings, StorageSettings
from service.settings.sections import (
    ApiSettings,
    DeleteSettings,
    HistorySettings,
    LogSettings,
    ReconcileSettings,
    RedisSettings,
    TokenSettings,
    WebSettings,
)
from service.settings.webhooks import WebhookSettings

# Programs that run a command outside of the worker's process tree, where pushprune cannot prove its end.
_ELSEWHERE = frozenset({"docker", "podman", "nerdctl", "kubectl", "ssh"})


def _absolute(policy: Policy | Path | None) -> Policy | Path | None:
    # The policy is read again later, when the process may have changed its working directory.
    return policy.absolute() if isinstance(policy, Path) else policy


def _none_if_empty(webhooks: object) -> object:
    # A list whose items are all comments.
    return () if webhooks is None else webhooks


class Settings(BaseSettings):
    """All settings. `load_settings` makes them; the constructor reads no environment and no file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    # Tokens come before `listen`, because the check of `listen` uses them.
    tokens: Section[TokenSettings] = TokenSettings()
    listen: str = Field(default="127.0.0.1:8080", description="HOST:PORT of the web process")
    data_dir: Place = Field(
        default=Path("pushprune-data"), description="the folder for the tokens and the data of `pushprune up`"
    )
    redis: Section[RedisSettings] = RedisSettings()
    registry: Section[RegistrySettings] = RegistrySettings()
    policy: Annotated[Policy | Path | None, BeforeValidator(to_path), AfterValidator(_absolute)] = Field(
        default=None, description="what to keep: the policy, or the path of a file that holds it"
    )
    # The storage comes before `delete`, because the check of `delete` uses it.
    storage: Section[StorageSettings] = StorageSettings()
    delete: Section[DeleteSettings] = DeleteSettings()
    gc: Section[GcSettings] = GcSettings()
    reconcile: Section[ReconcileSettings] = ReconcileSettings()
    history: Section[HistorySettings] = HistorySettings()
    api: Section[ApiSettings] = ApiSettings()
    log: Section[LogSettings] = LogSettings()
    web: Section[WebSettings] = WebSettings()
    webhooks: Annotated[tuple[WebhookSettings, ...], BeforeValidator(_none_if_empty), Field(max_length=10)] = Field(
        default=(), description="the receivers of pushprune's own events"
    )

    _config: Path | None = PrivateAttr(default=None)
    _reread_policy: Callable[[], Policy | Path | None] | None = PrivateAttr(default=None)

    @field_validator("listen")
    @classmethod
    def _open_address_needs_tokens(cls, listen: str, info: ValidationInfo) -> str:
        host = listen_host(listen)
        if info.data.get("tokens") == TokenSettings() and not is_loopback(host):
            raise ValueError(
                "without tokens only this machine may connect: set tokens.notify_file, tokens.read_file and "
                "tokens.admin_file, or listen on 127.0.0.1"
            )
        if not is_loopback(host) and (tokens := info.data.get("tokens")) and (weakness := tokens.weakness):
            raise ValueError(f"other machines can connect to this address, and {weakness}")
        return listen

    @field_validator("web")
    @classmethod
    def _login_needs_tokens(cls, web: WebSettings, info: ValidationInfo) -> WebSettings:
        tokens = info.data.get("tokens")
        if web.user_header and tokens is not None and tokens.read is None and tokens.admin is None:
            raise ValueError("user_header needs tokens.read or tokens.admin: without them every user has all rights")
        if web.proxies and tokens == TokenSettings():
            raise ValueError("proxies needs tokens: without them every user of the proxy has all rights")
        if web.proxies and tokens is not None and tokens.weakness:
            raise ValueError(f"users of the proxies can connect, and {tokens.weakness}")
        return web

    @field_validator("delete")
    @classmethod
    def _storage_deletion_needs_path(cls, delete: DeleteSettings, info: ValidationInfo) -> DeleteSettings:
        storage = info.data.get("storage")
        if delete.via == "storage" and storage is not None and not (storage.folder or storage.bucket):
            raise ValueError(
                "via: storage needs storage.path, where the registry's storage is mounted read-write on this machine, "
                "or storage.url of its bucket"
            )
        return delete

    @field_validator("gc")
    @classmethod
    def _proxy_gate_can_protect(cls, gc: GcSettings, info: ValidationInfo) -> GcSettings:
        registry = info.data.get("registry")
        if gc.gate == "proxy" and gc.command and registry is not None and registry.debug_url is None:
            raise ValueError(
                "gate: proxy needs registry.debug_url, the address of the registry's http.debug.addr: only there does "
                "it report the writes in progress"
            )
        if gc.gate == "proxy" and gc.command and PurePath(gc.command[0]).name in _ELSEWHERE:
            raise ValueError(
                f"gate: proxy needs gc.command on the worker's own machine: a collection that {gc.command[0]} starts "
                "elsewhere may continue unnoticed after its worker died; use gate: readonly, or let the worker run "
                "the collector itself, as in docker-compose.yml"
            )
        return gc

    @field_validator("gc")
    @classmethod
    def _online_collection_has_a_gate_and_a_storage(cls, gc: GcSettings, info: ValidationInfo) -> GcSettings:
        registry, storage = info.data.get("registry"), info.data.get("storage")
        if gc.collector != "online":
            return gc
        if min(gc.grace, gc.youth) < LONGEST_REQUEST_S:
            raise ValueError(
                "collector: online needs grace and youth of at least 15m, because a request may take that long: what a "
                "push relies on must not be deleted before the push ends"
            )
        if gc.gate != "proxy" or gc.gate_without_redis == "open":
            raise ValueError(
                "collector: online needs gate: proxy, and gate_without_redis must not be open: pushes that name a blob "
                "must wait while it is deleted"
            )
        if storage is not None and storage.folder is None and storage.bucket is None:
            raise ValueError(
                "collector: online needs storage.path, where the registry's storage is mounted read-write on the "
                "worker's machine, or storage.url, its bucket"
            )
        if registry is not None and (registry.url is None or registry.debug_url is None):
            raise ValueError(
                "collector: online needs registry.url and registry.debug_url, which prove that the storage is the "
                "registry's, and that it has no cache of blobs"
            )
        return gc

    @field_validator("webhooks")
    @classmethod
    def _webhooks_have_names_of_their_own(cls, webhooks: tuple[WebhookSettings, ...]) -> tuple[WebhookSettings, ...]:
        names = [webhook.name for webhook in webhooks]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two webhooks have the name {twice}: give each its own")
        return webhooks

    @property
    def config_path(self) -> Path | None:
        """The file that these settings were read from; None if there was none."""
        return self._config

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings, the strongest first."""
        return (init_settings,)
