"""The section `webhooks`: the receivers of pushprune's own events."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, field_serializer, model_validator

from service.documents.reader import read_text
from service.domain.errors import ConfigurationError
from service.domain.policy.pattern_types import SomeRepositoryPatterns
from service.domain.policy.units import Duration
from service.domain.signature import signing_key
from service.domain.webhook_event import EventType
from service.settings.kinds import File, Place, Title, WebhookUrl, comma_separated, webhook_url
from service.settings.sections import SettingsPart

_FILE_BYTES = 64 * 1024
T = TypeVar("T")


class WebhookSettings(SettingsPart):
    """The receivers of pushprune's own events, a list ([webhooks](webhooks.md))."""

    name: Title = Field(description="its name in logs and metrics: small letters, digits and hyphens")
    url: WebhookUrl | None = Field(
        default=None,
        # The URL of a chat is a secret.
        repr=False,
        description="where events are posted to: https://… or http://…",
    )
    url_file: Place | None = Field(default=None, description="a file that holds the URL, as that of a chat is a secret")
    format: Literal["cloudevents", "slack"] = Field(
        default="cloudevents",
        description="cloudevents: each event is a message; slack: text for a chat (Slack, Mattermost, Rocket.Chat)",
    )
    events: Annotated[tuple[EventType, ...], BeforeValidator(comma_separated), Field(min_length=1)] = Field(
        default=(), description="the events to send; unset: all"
    )
    repositories: SomeRepositoryPatterns = Field(
        default=(),
        description="the repositories whose events are sent, written as in a policy; unset: all. Events that concern "
        "no repository are always sent",
    )
    secret: SecretStr | None = Field(
        default=None, description="the key of the signature: whsec_ and the base64 of 24 to 64 random bytes"
    )
    secret_file: Place | None = Field(default=None, description="a file that holds this key; unset: no signature")
    every: Duration = Field(
        default=0,
        description="for `format: slack`: the shortest time between two messages; each reports all since the last",
    )
    ca_file: File | None = Field(
        default=None, description="a PEM file with the authority that signed the receiver's certificate"
    )

    _address: str = PrivateAttr(default="")
    _key: bytes | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for secret in ("url", "secret"):
            if getattr(self, secret) is not None and getattr(self, f"{secret}_file") is not None:
                raise ValueError(f"{secret} and {secret}_file are both set; keep one of them")
        if self.every and self.format != "slack":
            raise ValueError("every needs format: slack: with cloudevents each event is a message of its own")
        if self.url_file is not None:
            self._address = _read("url_file", self.url_file, webhook_url)
        elif self.url is not None:
            self._address = self.url
        else:
            raise ValueError("it needs url or url_file")
        if self.secret_file is not None:
            self._key = _read("secret_file", self.secret_file, signing_key)
        elif self.secret is not None:
            self._key = signing_key(self.secret.get_secret_value())
        if self.ca_file is not None:
            _check_certificates(self.ca_file)
        return self

    @property
    def address(self) -> str:
        """The URL, which may be a secret."""
        return self._address

    @property
    def origin(self) -> str:
        """The beginning of the URL, for messages: scheme, host and port."""
        parts = urlsplit(self._address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def key(self) -> bytes | None:
        """The key of the signature; None for no signature."""
        return self._key

    @field_serializer("url")
    def _without_path(self, url: str | None) -> str | None:
        return url and f"{self.origin}/…"


def _check_certificates(file: Path) -> None:
    """Raise ValueError if a file cannot be read or holds no certificate."""
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:
        raise ValueError(f"ca_file: {file.name} cannot be read, or holds no certificate in PEM form") from error


def _read(name: str, file: Path, check: Callable[[str], T]) -> T:
    """Return the checked content of a secret file. Raises ValueError, with the name of the setting."""
    try:
        return check(read_text(file, _FILE_BYTES).strip())
    except (ConfigurationError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error
