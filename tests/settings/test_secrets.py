"""Secrets can be in files, and no error ever shows them."""

import traceback
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.settings import load_settings
from tests.settings.conftest import Load, Refuse, Write

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read SECRET: No such file or directory"),
        ("\n", "SECRET is empty"),
        (b"\xff", "SECRET, line 1: this is not UTF-8 text"),
        ("x" * (64 * 1024 + 1), "cannot read SECRET: it is larger than 64 KiB"),
        ("two words", "a token is one word of visible ASCII characters"),
    ],
)
def test_a_secret_file_that_is_no_good_is_refused_where_it_is_named(
    refuse: Refuse, write: Write, tmp_path: Path, content: str | bytes | None, reason: str
) -> None:
    file = tmp_path / "SECRET"
    if content is not None:
        write(content, "SECRET")
    assert refuse("\ntokens:\n  read_file: SECRET") == f"pushprune.yaml, line 3: tokens.read_file: {reason}"
    assert refuse("", {"PUSHPRUNE_TOKENS__READ_FILE": str(file)}) == f"PUSHPRUNE_TOKENS__READ_FILE: {reason}"


@pytest.mark.parametrize(
    "text",
    [
        f"redis: {{url: 'redis://:{SECRET}@localhost'}}\nregistry: {{username: x, password: {SECRET}}}\n"
        f"tokens: {{notify: {SECRET}, read: {SECRET}, admin: {SECRET}}}",
    ],
)
def test_secrets_are_never_shown(load: Load, text: str) -> None:
    settings = load(text)
    assert SECRET in str(settings.redis.url)
    assert SECRET not in f"{settings!r} {settings} {settings.redis!r} {settings.tokens!r} {settings.registry!r}"


@pytest.mark.parametrize(
    "text",
    [
        f"redis: {{url: 'http://:{SECRET}@localhost'}}",
        f"redis: {{url: 'redis://:a/{SECRET}@localhost'}}",
        f"redis: {{url: 'redis://:a:{SECRET}'}}",
        f"redis: {SECRET}",
        f"registry: {{url: 'http://me:{SECRET}@localhost'}}",
        f"registry: {{url: 'http://localhost:{SECRET}'}}",
        f"registry: {{password: {SECRET}}}",
        f"registry: {{username: me, password: [{SECRET}]}}",
        f"tokens: {{notify: '{SECRET} {SECRET}'}}",
        f"tokens: {{notify: {SECRET}, read: '{SECRET} {SECRET}'}}\nlisten: 0.0.0.0:80",
        f"tokens: {{notify: *{SECRET}}}",
        f"tokens: {{notify: &{SECRET}}}",
        f"tokens: {{notify: !{SECRET}}}",
        f"tokens: {{notify: !{SECRET} x}}",
        f"tokens: {{notify: !{SECRET}!x y}}",
        f"tokens: {{notify: '{SECRET}}}",
        f'tokens: {{notify: "{SECRET}\\q"}}',
        f"tokens: {{notify: {{{SECRET}: [}}}}",
        f"tokens: {{notify: @{SECRET}}}",
        f"tokens: {{notify: %{SECRET}}}",
        f"tokens: {SECRET}",
        f"tokens: [{SECRET}]",
    ],
)
def test_a_refusal_never_shows_a_secret(write: Write, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(write(text), {})
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_refused_variable_never_shows_its_value() -> None:
    for variable in ("TOKENS__READ", "REGISTRY__PASSWORD", "REDIS__URL", "REGISTRY__URL", "PASSWORD", "TOKENS"):
        with pytest.raises(ConfigurationError) as refused:
            load_settings(environ={f"PUSHPRUNE_{variable}": f"{SECRET} {SECRET}"})
        assert SECRET not in "".join(traceback.format_exception(refused.value))
