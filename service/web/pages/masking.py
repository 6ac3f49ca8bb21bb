"""Secrets in the configuration, masked: in URLs, in commands, and what pydantic masked already.

A command is free text, and its page is shown to all who may look: what may be a secret is taken for one.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

MASK = "••••••••"

_COMMANDS = frozenset({"command", "before", "after"})
_NAMES = "pass|pw|secret|token|key|auth|cred|cert|user|header|cookie"
_SHORT = "-[a-z]{0,4}"  # several of one letter may stand together: curl -fsSu
_LOGIN = re.compile(r"(\w[\w+.-]*://)\S*@")
_PARAMETER = re.compile(rf"(?i)([?&][\w-]*(?:{_NAMES})[\w-]*=)[^\s#]+")
_NEXT_IS = re.compile(rf"(?i)--?[\w-]*(?:{_NAMES})[\w-]*|{_SHORT}[uHpbae]")
_HOLDS = re.compile(
    rf"(?i)([\w-]*(?:{_NAMES})[\w-]*[=:]).+|(-(?-i:[uHpb])).+|({_SHORT}?(?-i:[uH]))[^\s=]*:.+", re.DOTALL
)
_MAY_HOLD = re.compile(rf"(?i){_NAMES}|://\S*@|(?:^|\s){_SHORT}(?-i:[uHpba])")


def masked(value: Any, name: str = "") -> Any:
    """A setting as it is written out, without secrets; a command as one line. name: its key."""
    if isinstance(value, dict):
        return {key: masked(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return _line(value) if name in _COMMANDS else [masked(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def without_logins(text: str) -> str:
    """A sentence in which no URL holds a login."""
    return _PARAMETER.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}@", text))


def _text(value: str) -> str:
    if set(value) == {"*"} and len(value) > 3:  # what pydantic makes of a secret
        return MASK
    return without_logins(value)


def _line(words: Sequence[str]) -> str:
    return " ".join(word if MASK in word else shlex.quote(word) for word in _words(words))


def _words(words: Sequence[str]) -> Iterator[str]:
    is_next = False
    for word in words:
        holds = _HOLDS.fullmatch(word)
        if is_next:
            yield MASK
        elif holds and not re.search(r"\s", holds[1] or ""):
            yield (holds[1] or holds[2] or holds[3]) + MASK
        elif re.search(r"\s", word) and _MAY_HOLD.search(word):
            yield MASK
        else:
            yield _text(word)
        is_next = _NEXT_IS.fullmatch(word) is not None
