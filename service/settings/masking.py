"""The configuration without its secrets: logins in URLs, secret settings, and the arguments of commands."""

import re
from typing import Any

from service.domain.policy.units import spell_count

MASK = "********"

_COMMANDS = frozenset({"command", "before", "after"})
_SECRETS = "pass|pw|secret|token|key|auth|cred|cert|user"
_LOGIN = re.compile(r"(\w[\w+.-]*://)\S*@")
_PARAMETER = re.compile(rf"(?i)([?&][\w-]*(?:{_SECRETS})[\w-]*=)[^\s#]+")


def masked(value: Any, name: str = "") -> Any:
    """Return a setting without its secrets.

    An argument of a command can be a secret in more ways than a list can cover, so only the program and the number of
    its arguments are shown.

    Args:
        value: a setting as plain data: mappings, lists, strings and numbers.
    """
    if isinstance(value, dict):
        return {key: masked(part, key) for key, part in value.items()}
    if isinstance(value, list) and name in _COMMANDS:
        arguments = len(value) - 1
        return f"{without_logins(value[0])} ({spell_count(arguments, 'argument')})" if value else ""
    if isinstance(value, list):
        return [masked(part) for part in value]
    return _text(value) if isinstance(value, str) else value


def without_logins(text: str) -> str:
    """Return the text without the logins that its URLs hold."""
    return _PARAMETER.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}@", text))


def _text(value: str) -> str:
    # pydantic writes a secret as asterisks.
    if set(value) == {"*"} and len(value) > 3:
        return MASK
    return without_logins(value)
