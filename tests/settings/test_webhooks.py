"""The settings of webhooks: checked before the start, with secrets from files, and never shown."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from service.cli.config import check
from service.domain.errors import ConfigurationError
from service.settings import load_settings
from service.settings.masking import masked
from tests.settings.conftest import Load, Refuse, Write

SECRET = "hunter2"
KEY = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
URL = f"https://chat.example.com/services/{SECRET}"


def test_the_address_and_the_key_come_from_files_beside_the_configuration(load: Load, write: Write) -> None:
    write(f"{URL}\n", "secrets/url")
    write(f"{KEY}\n", "secrets/key")
    settings = load("webhooks: [{name: chat, url_file: secrets/url, secret_file: secrets/key}]")
    (webhook,) = settings.webhooks
    receiver = webhook.receiver()
    assert (receiver.url, receiver.origin) == (URL, "https://chat.example.com")
    assert receiver.key == b"01234567890123456789012345678901"
    assert SECRET not in repr(receiver)


def test_a_single_variable_holds_all_webhooks() -> None:
    variable = '[{"name": "chat", "url": "http://chat/x", "events": ["plan.held"]}]'
    (webhook,) = load_settings(environ={"PUSHPRUNE_WEBHOOKS": variable}).webhooks
    assert (webhook.name, webhook.events) == ("chat", ("plan.held",))


def test_an_empty_list_of_comments_is_none(load: Load) -> None:
    assert load("webhooks:\n  # - name: chat\n").webhooks == ()


@pytest.mark.parametrize(
    ("webhooks", "sentence"),
    [
        ("[{name: chat}]", "webhooks[0]: it needs url or url_file"),
        ("[{name: chat, url: ftp://chat/x}]", "webhooks[0].url: this is not https://HOST/PATH or http://HOST/PATH"),
        ("[{name: chat, url: file:///etc/passwd}]", "webhooks[0].url: this is not https://HOST/PATH or http://HOST/PATH"),
        ("[{name: chat, url: http://chat..example/x}]",
         "webhooks[0].url: this is not https://HOST/PATH or http://HOST/PATH"),
        (f"[{{name: chat, url: 'http://me:{SECRET}@chat'}}]",
         "webhooks[0].url: a URL must not contain a login: the receiver recognizes pushprune by the signature"),
        ("[{name: chat, url: http://chat, url_file: absent}]",
         "webhooks[0]: url and url_file are both set; keep one of them"),
        ("[{name: My Chat, url: http://chat}]", "webhooks[0].name: write small letters, digits and hyphens"),
        ("[{name: a, url: http://b}, {name: a, url: http://c}]",
         "webhooks: two webhooks have the name a: give each its own"),
        ("[{name: a, url: http://b, every: 5m}]",
         "webhooks[0]: every needs format: slack: with cloudevents each event is a message of its own"),
        ("[{name: a, url: http://b, evnts: []}]", "webhooks[0].evnts is unknown; did you mean events?"),
        ("[{name: a, url: http://b, repositories: [Shop]}]",
         "webhooks[0].repositories[0]: 'Shop' can match no repository: write it without host, tag and capital letters, "
         "without S"),
        (f"[{{name: a, url: http://b, secret: {SECRET}}}]",
         "webhooks[0]: this is not whsec_ and the base64 of 24 to 64 random bytes: make one with: "
         'echo "whsec_$(openssl rand -base64 32)"'),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_work_is_refused(refuse: Refuse, webhooks: str, sentence: str) -> None:
    refused = refuse(f"webhooks: {webhooks}")
    assert refused == f"pushprune.yaml, line 1: {sentence}"
    assert SECRET not in refused


@pytest.mark.parametrize(
    ("key", "content", "sentence"),
    [
        ("url_file", None, "url_file: cannot read FILE: No such file or directory"),
        ("url_file", "ftp://chat/x", "url_file: this is not https://HOST/PATH or http://HOST/PATH"),
        ("secret_file", SECRET, "secret_file: this is not whsec_ and the base64 of 24 to 64 random bytes: make one "
         'with: echo "whsec_$(openssl rand -base64 32)"'),
        ("ca_file", None, "ca_file: FILE cannot be read, or holds no certificate in PEM form"),
        ("ca_file", "no certificate", "ca_file: FILE cannot be read, or holds no certificate in PEM form"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_stops_no_process_and_fails_the_check(
    load: Load, write: Write, tmp_path: Path, key: str, content: str | None, sentence: str
) -> None:
    """Without this, a lost secret would stop the gate at its next start, and with it every push."""
    file = write(content, "file") if content else tmp_path / "file"
    url = "" if key == "url_file" else "url: https://b, "
    text = f"webhooks: [{{name: a, {url}{key}: file}}]"
    (webhook,) = load(text).webhooks
    with pytest.raises(ConfigurationError) as refused:
        webhook.receiver()
    assert str(refused.value) == f"webhook a: {sentence.replace('FILE', str(file))}"
    result = CliRunner().invoke(check, [str(write(text))])
    assert (result.exit_code, result.output) == (2, f"pushprune: {refused.value}\n")


def test_a_misspelt_event_is_refused(refuse: Refuse) -> None:
    assert "webhooks[0].events[0] must be 'tags.deleted'" in refuse("webhooks: [{name: a, url: http://b, events: [x]}]")


def test_no_secret_is_shown(load: Load, write: Write) -> None:
    write(URL, "url")
    settings = load(f"webhooks: [{{name: a, url_file: url, secret: {KEY}}}, {{name: b, url: '{URL}?token={SECRET}'}}]")
    shown = yaml.safe_dump(masked(settings.model_dump(mode="json", exclude_none=True)))
    assert "https://chat.example.com/" in shown
    for text in (repr(settings), str(settings.webhooks), shown):
        assert SECRET not in text
        assert KEY not in text


def test_more_than_ten_webhooks_are_refused() -> None:
    webhooks = [{"name": f"w{number}", "url": "http://x"} for number in range(11)]
    with pytest.raises((ValidationError, Exception), match="at most 10"):
        load_settings(environ={}, webhooks=webhooks)
