"""The sources of settings: overrides, environment, file and secret files, the strongest first."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from service.documents.reader import Document, Location, Source, dotted, read_text
from service.documents.refusal import Unusable
from service.domain.errors import ConfigurationError

PREFIX = "PUSHPRUNE_"
# Variables that are no settings: load_settings reads the first, the demo the second, and the log the third before any
# settings are loaded.
_NO_SETTINGS = {"PUSHPRUNE_CONFIG", "PUSHPRUNE_REGISTRY_BIN", "PUSHPRUNE_LOG"}
# Variables that Kubernetes sets in every pod if there is a Service called pushprune or pushprune-…
_SERVICE_LINK = re.compile(
    r"PUSHPRUNE_(?!\w*__)(\w+_)?"
    r"(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?=).*"
)
_LISTS = {("gc", name) for name in ("command", "before", "after", "window")} | {
    ("web", "proxies"),
    ("web", "admins"),
    ("webhooks",),
}
# Each may be set directly or as NAME_file. If both are set, the stronger layer wins.
_SECRETS = (
    ("redis", "url"),
    ("redis", "sentinel_password"),
    ("registry", "password"),
    ("storage", "secret_key"),
    ("tokens", "notify"),
    ("tokens", "read"),
    ("tokens", "admin"),
)
_SECRET_BYTES = 64 * 1024


class Layer(PydanticBaseSettingsSource, Source):
    """One source of settings, which names the origin of each value in error messages."""

    def __init__(self, settings: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.values: dict[str, Any] = dict(values)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one setting, as pydantic asks for it."""
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values, without the secrets that a stronger layer has."""
        # `current_state` has the values of the stronger layers.
        for section, name in _SECRETS:
            mine, stronger = (_section(values, section) for values in (self.values, self.current_state))
            both = {name, f"{name}_file"}
            if all(mine.get(key) is not None for key in both):
                subject = self.subject((section, name))
                unusable = Unusable(f"{subject} and {section}.{name}_file are both set; keep one of them")
                self.values[section] = mine = {key: mine[key] for key in mine if key not in both} | {name: unusable}
            if both & stronger.keys() and both & mine.keys():
                self.values[section] = {key: value for key, value in mine.items() if key not in both}
        self._refuse_mixtures()
        return self.values

    def _refuse_mixtures(self) -> None:
        """Refuse a plain value if a stronger layer has a section of the same name."""
        # One of the two would be lost without a message.
        for name, stronger in self.current_state.items():
            mine = self.values.get(name)
            if not isinstance(stronger, dict) or mine is None or isinstance(mine, Mapping):
                continue
            subject, reason = self.subject((name,)), "must hold `key: value` pairs"
            if name == "policy":
                key = next(iter(stronger), "")
                reason = f"is a file of its own: policy.{key} cannot be set from elsewhere, change it there"
            # Under a name of its own, because the section of the stronger layer hides what stands beside it.
            self.values[subject] = Unusable(f"{subject} {reason}")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


class Overrides(Layer):
    """Values from the caller. None means that the caller does not set the value."""

    def __init__(self, settings: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings, _without_none(values))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


class Environment(Layer):
    """PUSHPRUNE_… variables. An empty variable counts as unset; `null` unsets a value of the file."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings, {})
        self._variables: dict[Location, str] = {}
        for variable in sorted(environ):
            if _is_setting(variable, environ[variable]):
                self._take(variable, environ[variable])

    def _take(self, variable: str, text: str) -> None:
        location = tuple(variable[len(PREFIX) :].lower().split("__"))
        if variable != variable.upper():
            self.values[variable] = Unusable(f"{variable} is unknown; did you mean {variable.upper()}?")
            return
        section = self.values
        for depth, name in enumerate(location[:-1], 1):
            inner = section.setdefault(name, {})
            if not isinstance(inner, dict):
                other = self._variables[location[:depth]]
                section[name] = Unusable(f"{other} and {variable} exclude each other")
                return
            section = inner
        section[location[-1]] = _decoded(variable, location, text)
        self._variables[location] = variable

    def subject(self, location: Location) -> str:
        """Return the name by which users know the value at this place."""
        for length in range(len(location), 0, -1):
            if variable := self._variables.get(location[:length]):
                rest = dotted(location[length:])
                return f"{variable}: {rest}" if rest else variable
        return f"{self.spell(dotted(location))}__…" if location else ""

    def spell(self, name: str) -> str:
        """Return the environment variable of a setting."""
        return PREFIX + name.upper().replace(".", "__")


def _is_setting(variable: str, text: str) -> bool:
    if not variable.upper().startswith(PREFIX) or variable in _NO_SETTINGS or not text:
        return False
    return not _SERVICE_LINK.fullmatch(f"{variable}={text}")


def _decoded(variable: str, location: tuple[str, ...], text: str) -> Any:
    """Return the value of a variable. Lists and mappings are written as JSON."""
    # A secret may be the text "null" or begin with [ or {. So only known lists and the policy are read as JSON.
    if text == "null" and location not in _SECRETS:
        return None
    if text[0] in "[{" and (location[0] == "policy" or location in _LISTS):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return Unusable(f"{variable} begins like JSON, but is not")
    return text


class ConfigFile(Layer):
    """The YAML file. Relative paths of files that it names are relative to its folder."""

    def __init__(self, settings: type[BaseSettings], document: Document) -> None:
        super().__init__(settings, document.values)
        self._document = document
        directory = Path(document.name).absolute().parent
        if "policy" in self.values:
            self.values["policy"] = _beside(directory, self.values["policy"])
        webhooks = self.values.get("webhooks")
        sections = [self.values.get(name) for name in ("redis", "registry", "storage", "tokens")]
        for section in [*sections, *(webhooks if isinstance(webhooks, list) else ())]:
            for key in section if isinstance(section, dict) else ():
                if key.endswith("_file") or key == "docker_config":
                    section[key] = _beside(directory, section[key])

    def subject(self, location: Location) -> str:
        """Return the name by which users know the value at this place."""
        return self._document.subject(location)


def _beside(directory: Path, path: Any) -> Any:
    """Return the path relative to the directory; values that are no relative path are returned unchanged."""
    # A path that begins with ~ becomes absolute when ~ is replaced.
    return str(directory / path) if isinstance(path, str) and path and not path.startswith("~") else path


class SecretFiles(Layer):
    """The secrets in the files that the stronger layers name, without their line ends."""

    def __init__(self, settings: type[BaseSettings], stronger: tuple[Layer, ...]) -> None:
        super().__init__(settings, {})
        self._stronger = stronger

    def __call__(self) -> dict[str, Any]:
        """Return the secrets, read from their files."""
        for section, name in _SECRETS:
            given = _section(self.current_state, section)
            file = given.get(f"{name}_file")
            if isinstance(file, str | Path) and file and given.get(name) is None:
                self.values.setdefault(section, {})[name] = self._read(Path(file), (section, name))
        return self.values

    def subject(self, location: Location) -> str:
        """Return the name by which users know the value at this place."""
        if len(location) != 2:
            return dotted(location)
        location = (location[0], f"{location[1]}_file")
        sections = ((layer, _section(layer.values, str(location[0]))) for layer in self._stronger)
        return next((layer.subject(location) for layer, held in sections if location[1] in held), dotted(location))

    def _read(self, file: Path, location: Location) -> str | Unusable:
        try:
            secret = read_text(file.expanduser(), _SECRET_BYTES).rstrip("\r\n")
        except (ConfigurationError, RuntimeError) as error:
            return Unusable(f"{self.subject(location)}: {error}")
        return secret or Unusable(f"{self.subject(location)}: {file} is empty")
