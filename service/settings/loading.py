"""Load the settings from all sources, and a policy from its file. An error is one sentence."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.documents.reader import Document, Source, parse_mapping, read_mapping
from service.documents.refusal import refusal, refusals
from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.settings.kinds import to_path
from service.settings.layers import ConfigFile, Environment, Layer, Overrides, SecretFiles
from service.settings.model import Settings
from service.settings.webhooks import WebhookSettings


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Load the settings. Sources, the strongest first: overrides, PUSHPRUNE_… variables, the YAML file, the defaults.

    Args:
        config: the YAML file; None for the file that PUSHPRUNE_CONFIG names, if it is set.
        environ: the environment; None for os.environ.
        overrides: nested dicts.

    Raises:
        ConfigurationError: a setting is wrong; one sentence names the file and line or the variable, and the key.
    """
    environ = dict(os.environ if environ is None else environ)
    named = config or environ.get("PUSHPRUNE_CONFIG")
    origin = _Origin(Path(named).absolute() if named else None, environ, overrides)
    settings = _validated(origin.layers())
    settings._config = origin.config
    settings._reread_policy = lambda: _validated(origin.policy_layers()).policy
    return settings


def setting_faults(config: Path) -> tuple[str, ...]:
    """Return the errors in a configuration, one sentence each; () if there are none.

    Checked are the file, the environment, and the policy, secret and certificate files that they name.

    Raises:
        ConfigurationError: the file cannot be read as YAML, or is a policy.
    """
    layers = _Origin(config.absolute(), os.environ, {}).layers()
    faults: tuple[str, ...] = ()
    try:
        Settings(_build_sources=(layers, {}))
    except ValidationError as error:
        faults = refusals(error, Settings, layers)
    return (*faults, *_policy_file_faults(layers), *_webhook_file_faults(layers))


def _policy_file_faults(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    named = _strongest("policy", layers)
    if not isinstance(named, str) or not named:
        return ()
    try:
        return policy_faults(to_path(named))
    except ConfigurationError as error:
        return (str(error),)
    except ValueError:
        # The path itself is wrong, which the check of the settings has found.
        return ()


def _webhook_file_faults(layers: tuple[Layer, ...]) -> Iterator[str]:
    webhooks = _strongest("webhooks", layers)
    for webhook in webhooks if isinstance(webhooks, list) else ():
        try:
            WebhookSettings.model_validate(webhook).receiver()
        except ConfigurationError as error:
            yield str(error)
        except ValidationError:
            # The check of the settings has found this.
            continue


def _strongest(name: str, layers: tuple[Layer, ...]) -> Any:
    return next((layer.values[name] for layer in layers if layer.values.get(name) is not None), None)


def load_policy(path: Path) -> Policy:
    """Load a policy from its YAML file.

    Raises:
        ConfigurationError: the policy is wrong; one sentence names file, line and key.
    """
    return _policy_of(read_mapping(path))


def parse_policy(text: str, called: str, check: Callable[[Mapping[str, Any]], None]) -> Policy:
    """Return the policy in a YAML text.

    Args:
        called: the name of the text in error messages.
        check: called with the values before they become a policy; may raise.

    Raises:
        ConfigurationError: the text is no valid policy; one sentence names `called`, line and key.
    """
    document = parse_mapping(text, called)
    check(document.values)
    return _policy_of(document)


def _policy_of(document: Document) -> Policy:
    try:
        return Policy.model_validate(document.values)
    except ValidationError as error:
        raise refusal(error, Policy, (document,)) from error


def policy_faults(values: Mapping[str, Any] | Path) -> tuple[str, ...]:
    """Return the errors in a policy, one sentence each with the key, and with the line in a file; () if there are none.

    Args:
        values: the values of the policy, or its file.

    Raises:
        ConfigurationError: the file is no YAML.
    """
    source = read_mapping(values) if isinstance(values, Path) else Source(values)
    try:
        Policy.model_validate(dict(source.values))
    except ValidationError as error:
        return refusals(error, Policy, (source,))
    return ()


@dataclass(frozen=True)
class _Origin:
    config: Path | None
    environ: Mapping[str, str]
    overrides: Mapping[str, Any]

    def layers(self) -> tuple[Layer, ...]:
        """Return all layers, the strongest first."""
        overrides = Overrides(Settings, self.overrides)
        environment = Environment(Settings, self.environ)
        file = (ConfigFile(Settings, _configuration(self.config)),) if self.config else ()
        given = (overrides, environment, *file)
        return (*given, SecretFiles(Settings, given))

    def policy_layers(self) -> tuple[Layer, ...]:
        """Return the layers with the policy only."""
        # A later error in another setting must not keep a changed policy from being read.
        layers = self.layers()[:-1]
        for layer in layers:
            # Unknown keys are kept, so that a misspelt `polcy` is refused.
            others = Settings.model_fields.keys() - {"policy"}
            layer.values = {key: value for key, value in layer.values.items() if key not in others}
        return layers


def _configuration(file: Path) -> Document:
    document = read_mapping(file)
    if "rules" in document.values and document.values.keys() <= Policy.model_fields.keys():
        advice = "put `policy: FILE` into a file and give that one"
        raise ConfigurationError(f"{file}: this is a policy, not a configuration: {advice}")
    return document


def _validated(layers: tuple[Layer, ...]) -> Settings:
    try:
        return Settings(_build_sources=(layers, {}))
    except ValidationError as error:
        raise refusal(error, Settings, layers) from error
