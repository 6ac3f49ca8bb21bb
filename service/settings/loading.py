"""Settings from all their sources, and a policy from its own file; refused with one sentence."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.settings.document import Document, parse_document, read_document
from service.settings.layers import ConfigFile, Environment, Layer, Overrides, SecretFiles
from service.settings.model import Settings
from service.settings.refusal import Given, refusal, refusals


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from, strongest first: overrides (nested dicts), PUSHPRUNE_… variables, the YAML file, the defaults.

    config: the YAML file, else what PUSHPRUNE_CONFIG names, else none. environ: os.environ unless given.
    ConfigurationError with one sentence that names file and line or variable, and the key.
    """
    environ = dict(os.environ if environ is None else environ)
    named = config or environ.get("PUSHPRUNE_CONFIG")
    origin = _Origin(Path(named).absolute() if named else None, environ, overrides)
    settings = _validated(origin.layers())
    settings._config = origin.config
    settings._reread_policy = lambda: _validated(origin.policy_layers()).policy
    return settings


def load_policy(path: Path) -> Policy:
    """The policy in its own YAML file; ConfigurationError with one sentence that names file, line and key."""
    document = read_document(path)
    try:
        return Policy.model_validate(document.values)
    except ValidationError as error:
        raise refusal(error, Policy, (document,)) from error


def parse_policy(text: str, called: str, check: Callable[[Mapping[str, Any]], None]) -> Policy:
    """Return the policy in a YAML text.

    Args:
        text: the YAML.
        called: its name in sentences.
        check: takes the values before they are made a policy, and may raise.

    Raises:
        ConfigurationError: it is no policy; one sentence names what it is called, line and key.
    """
    document = parse_document(text, Path(called))
    check(document.values)
    try:
        return Policy.model_validate(document.values)
    except ValidationError as error:
        raise refusal(error, Policy, (document,)) from error


def policy_faults(values: Mapping[str, Any] | Path) -> tuple[str, ...]:
    """What is wrong with a policy, one sentence for each fault that names its key, and in a file its line; () is right.

    values: the policy itself, or the file that holds it. ConfigurationError when there is no YAML to be had from it.
    """
    source = read_document(values) if isinstance(values, Path) else Given(values)
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
        """Strongest first."""
        overrides = Overrides(Settings, self.overrides)
        environment = Environment(Settings, self.environ)
        file = (ConfigFile(Settings, _configuration(self.config)),) if self.config else ()
        given = (overrides, environment, *file)
        return (*given, SecretFiles(Settings, given))

    def policy_layers(self) -> tuple[Layer, ...]:
        """The same, without the other settings: one of them gone wrong later must not hold the policy up."""
        layers = self.layers()[:-1]
        for layer in layers:
            others = Settings.model_fields.keys() - {"policy"}  # `polcy` is none of them, and is refused
            layer.values = {key: value for key, value in layer.values.items() if key not in others}
        return layers


def _configuration(file: Path) -> Document:
    document = read_document(file)
    if "rules" in document.values and document.values.keys() <= Policy.model_fields.keys():
        wanted = "put `policy: FILE` into a file and give that one"
        raise ConfigurationError(f"{file}: this is a policy, not a configuration: {wanted}")
    return document


def _validated(layers: tuple[Layer, ...]) -> Settings:
    try:
        return Settings(_build_sources=(layers, {}))
    except ValidationError as error:
        raise refusal(error, Settings, layers) from error
