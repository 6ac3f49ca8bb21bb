"""The section `webhooks`: the receivers of pushprune's own events."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_serializer, model_validator

from service.documents.reader import read_text
from service.domain.errors import ConfigurationError
from service.domain.policy.pattern_types import SomeRepositoryPatterns
from service.domain.policy.units import Duration
from service.domain.webhooks.event import EventType
from service.domain.webhooks.signature import signing_key
from service.settings.kinds import Place, Title, WebhookUrl, comma_separated, webhook_url
from service.settings.sections import SettingsPart

_FILE_BYTES = 64 * 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """The address of a webhook's receiver, with the secrets that are needed to post there.

    Attributes:
        url: may be a secret.
        key: the key of the signature; None for no signature.
        ca_file: the authority that signed the receiver's certificate; None for those that the system trusts.
    """

    url: str = field(repr=False)
    key: bytes | None = field(repr=False)
    ca_file: Path | None

    @property
    def origin(self) -> str:
        """The beginning of the URL, for messages: scheme, host and port."""
        return _origin(self.url)


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
    ca_file: Place | None = Field(
        default=None, description="a PEM file with the authority that signed the receiver's certificate"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for secret in ("url", "secret"):
            if getattr(self, secret) is not None and getattr(self, f"{secret}_file") is not None:
                raise ValueError(f"{secret} and {secret}_file are both set; keep one of them")
        if self.every and self.format != "slack":
            raise ValueError("every needs format: slack: with cloudevents each event is a message of its own")
        if self.url is None and self.url_file is None:
            raise ValueError("it needs url or url_file")
        if self.secret is not None:
            signing_key(self.secret.get_secret_value())
        return self

    def receiver(self) -> ReceiverAddress:
        """Return the address of the receiver, with the secrets that the files hold at this moment.

        The files are not read at the start of every process: only workers need them, and a secret that is
        missing must stop neither pushes nor deletions.

        Raises:
            ConfigurationError: a file cannot be read, or its content is not valid; one sentence names it.
        """
        url = self.url or self._read("url", webhook_url)
        key = self._read("secret", signing_key) if self.secret_file else None
        if self.secret is not None:
            key = signing_key(self.secret.get_secret_value())
        if self.ca_file is not None:
            self._check_certificates(self.ca_file)
        return ReceiverAddress(url, key, self.ca_file)

    def _read(self, secret: str, check: Callable[[str], T]) -> T:
        try:
            return check(read_text(getattr(self, f"{secret}_file"), _FILE_BYTES).strip())
        except (ConfigurationError, ValueError) as error:
            raise ConfigurationError(f"webhook {self.name}: {secret}_file: {error}") from error

    def _check_certificates(self, file: Path) -> None:
        try:
            ssl.create_default_context(cafile=str(file))
        except OSError as error:
            sentence = f"ca_file: {file} cannot be read, or holds no certificate in PEM form"
            raise ConfigurationError(f"webhook {self.name}: {sentence}") from error

    @field_serializer("url")
    def _without_path(self, url: str | None) -> str | None:
        return url and f"{_origin(url)}/…"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
