"""The kinds of values of settings. Error messages are one sentence and never show the value: it may be a secret."""

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr
from pydantic_core import PydanticCustomError

from service.domain.collection.window import Hours, parse_hours
from service.domain.oci.names import is_repository

_LISTEN = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]*)):(\d{1,5})", re.ASCII | re.IGNORECASE)
_FLAG_M = re.compile(r"-[A-Za-z]*m[A-Za-z]*(=.*)?")
# redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DATABASE?OPTIONS
_SENTINELS = re.compile(
    r"rediss?\+sentinel://(?:[^@/\s]*@)?[\w.-]+(?::\d{1,5})?(?:,[\w.-]+(?::\d{1,5})?)*/[\w.-]+(?:/\d+)?(?:\?[^\s]*)?",
    re.ASCII,
)
T = TypeVar("T")


def _defaults_if_empty(value: Any) -> Any:
    return {} if value is None else value


def _number(value: Any) -> Any:
    # pydantic would accept true as 1.
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "Input should be a number")
    return value


def to_path(value: Any) -> Any:
    """Return text as a path, with ~ replaced; other values are returned unchanged."""
    if value == "":
        raise ValueError("an empty path names no file")
    try:
        return Path(value).expanduser() if isinstance(value, str) else value
    except RuntimeError:
        raise ValueError("there is no home directory to put in place of ~") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _checked(is_valid: Callable[[str], object], sentence: str) -> AfterValidator:
    def validate(value: str | SecretStr) -> str | SecretStr:
        if not is_valid(value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError(sentence)
        return value

    return AfterValidator(validate)


def _matching(pattern: str, sentence: str) -> AfterValidator:
    return _checked(re.compile(pattern, re.ASCII).fullmatch, sentence)


def _split(url: str, schemes: set[str]) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        # Two dots in a row, or more than 63 letters between them, are refused by every later look-up of the host.
        (parts.hostname or "").encode("idna")
    # The message of the error is dropped, because it may contain a part of the password.
    except ValueError:
        return None
    return parts if whole and not re.search(r"\s", url) else None


def _redis_url(url: str) -> str:
    if not url.startswith("unix:///") and not _split(url, {"redis", "rediss"}) and not _SENTINELS.fullmatch(url):
        raise ValueError(
            "this is not redis://HOST:PORT/0, rediss://…, unix:///PATH or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/0"
        )
    return url


def _registry_url(url: str) -> str:
    parts = _split(url, {"http", "https"})
    if not parts or parts.query or parts.fragment:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT")
    if "@" in parts.netloc:
        raise ValueError("a URL must not contain credentials: use registry.username and registry.password_file")
    if parts.path.rstrip("/").endswith("/v2"):
        raise ValueError("leave /v2 out, it is added to every request")
    return url.rstrip("/")


def webhook_url(url: str) -> str:
    """Return the URL of a webhook. Raises ValueError, with one sentence that does not show it."""
    parts = _split(url, {"http", "https"})
    if not parts or parts.fragment:
        raise ValueError("this is not https://HOST/PATH or http://HOST/PATH")
    if "@" in parts.netloc:
        raise ValueError("a URL must not contain a login: the receiver recognizes pushprune by the signature")
    return url


def _storage_url(url: str) -> str:
    parts = urlsplit(url)
    if re.search(r"\s", url) or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("a URL of a storage is a scheme, a bucket and a prefix, without credentials and options")
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return url
    # Distribution's storages refuse shorter names, and S3 itself does.
    if parts.scheme not in ("s3", "gs", "az") or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{2,62}", parts.netloc):
        raise ValueError(
            "this is not s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER; a bucket has "
            "3 to 63 small letters, digits, dots and hyphens"
        )
    return url.rstrip("/")


def _several(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _words(value: Any) -> Any:
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("a quotation mark in this command is never closed") from None


def _not_empty(command: list[str]) -> list[str]:
    if not command or not command[0]:
        raise ValueError("an empty command does nothing: leave it out")
    return command


def _window(value: Any) -> tuple[Hours, ...]:
    hours = value.split(",") if isinstance(value, str) else value
    if not isinstance(hours, list | tuple) or not hours:
        raise ValueError("write hours such as '22:00-06:00', or a list of them")
    return tuple(item if isinstance(item, Hours) else parse_hours(item) for item in hours)


def _spares_children(command: list[str]) -> list[str]:
    if not command or not command[0]:
        raise ValueError("an empty command collects nothing")
    flag = next(_untagged_flags(command), None)
    if flag:
        raise ValueError(
            f"leave {flag} out: it destroys the children of multi-arch images that are kept, and pushprune deletes "
            "what the policy does not keep by itself"
        )
    return command


def _untagged_flags(command: Sequence[str]) -> Iterator[str]:
    """Yield --delete-untagged in all of its spellings, also inside a word such as the one after `sh -c`."""
    words = [piece for word in command for piece in word.split()]
    # A -m before `garbage-collect` is an option of another program (`docker run -m 512m`).
    start = words.index("garbage-collect") if "garbage-collect" in words else -1
    for at, word in enumerate(words):
        if word.startswith(("--delete-untagged", "-m=")) or (at > start and _FLAG_M.fullmatch(word)):
            yield word


def _cron(line: str) -> str:
    """Return a cron line with single blanks.

    Raises:
        ValueError: the line is not valid, or never matches.
    """
    fields = " ".join(line.split())
    try:
        # CronSim would read a sixth field as seconds. It raises StopIteration for a day such as the 31st of February.
        is_valid = fields.count(" ") == 4 and next(CronSim(fields, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        is_valid = False
    if not is_valid:
        raise ValueError("not a schedule, or never due; write minute hour day month weekday, such as 0 3 * * *")
    return fields


def comma_separated(value: Any) -> Any:
    """Return the parts of a text that has commas between them; other values are returned unchanged."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _is_network(name: str) -> bool:
    try:
        ipaddress.ip_network(name)
    except ValueError:
        return False
    return True


def listen_host(listen: str) -> str:
    """Return the host of HOST:PORT or [HOST]:PORT; "" for all addresses.

    Raises:
        ValueError: the text has neither form; the message is one sentence.
    """
    match = _LISTEN.fullmatch(listen)
    if not match or int(match[3]) > 65_535:
        raise ValueError("this is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return match[1] or match[2]


def _address(listen: str) -> str:
    listen_host(listen)
    return listen


def is_loopback(host: str) -> bool:
    """True if only this machine can connect to the host."""
    # Names other than localhost are not resolved, because their address can change.
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


Section = Annotated[T, BeforeValidator(_defaults_if_empty)]
Whole = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, le=3600, allow_inf_nan=False)]
Place = Annotated[Path, BeforeValidator(to_path)]
File = Annotated[Place, AfterValidator(_existing)]
# A token is sent in an HTTP header, which cannot have blanks and line ends (RFC 9110, 5.5).
Token = Annotated[SecretStr, _matching("[!-~]+", "a token is one word of visible ASCII characters")]
Address = Annotated[str, AfterValidator(_address)]
Prefix = Annotated[str, _matching(r"[\w.:-]{1,64}", "a prefix is 1 to 64 letters, digits or any of . : _ -")]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
RepositoryName = Annotated[str, _checked(is_repository, "this is not the name of a repository, such as shop/api")]
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
WebhookUrl = Annotated[str, AfterValidator(webhook_url)]
Title = Annotated[str, _matching("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", "write small letters, digits and hyphens")]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
RegistryUrls = Annotated[tuple[RegistryUrl, ...], BeforeValidator(_several), Field(min_length=1)]
Command = Annotated[list[str], BeforeValidator(_words), AfterValidator(_spares_children)]
Script = Annotated[list[str], BeforeValidator(_words), AfterValidator(_not_empty)]
Window = Annotated[tuple[Hours, ...], PlainValidator(_window)]
Cron = Annotated[str, AfterValidator(_cron)]
Root = Annotated[str, _matching(r"|(/[\w.~-]+)+", "this is not a path such as /pushprune")]
Names = Annotated[list[str], BeforeValidator(comma_separated)]
_Network = Annotated[str, _checked(_is_network, "write addresses or networks such as 10.0.0.7 or 10.0.0.0/24")]
Networks = Annotated[list[_Network], BeforeValidator(comma_separated)]
Header = Annotated[str, _matching("[A-Za-z0-9-]{1,64}", "this is not the name of a header, such as X-Remote-User")]
