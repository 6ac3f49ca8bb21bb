"""Find a registry's login in Docker's config.json: auths, credHelpers, credsStore."""

import base64
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.domain.errors import AccessDenied, ConfigurationError
from service.process.child_environment import child_environment


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login: username and password, or an identity token that a token server accepts instead of them."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The config.json with the login of one registry.

    The file and the helper are read at every call, because helpers return logins that expire.

    Attributes:
        path: the config.json.
        host: the registry's host[:port], as it was given to `docker login`.
        timeout_s: for a credential helper.
    """

    path: Path
    host: str
    timeout_s: float = 10.0

    def credentials(self) -> Credentials | None:
        """The login for `host`; None if there is none.

        A helper for this host in credHelpers comes first, then credsStore, then auths, as in Docker itself.

        Raises:
            ConfigurationError: the file cannot be read.
            AccessDenied: the helper failed.
        """
        config = self._read()
        helper = _of_host(config.get("credHelpers"), self.host) or config.get("credsStore")
        if isinstance(helper, str) and helper:
            login = self._ask(helper)
            if login is not None:
                return login
        return self._stored(_of_host(config.get("auths"), self.host))

    def check(self) -> None:
        """Raise ConfigurationError if the file cannot be read, before any request needs it."""
        self._read()

    def _read(self) -> dict[str, Any]:
        try:
            config = json.loads(self.path.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"registry.docker_config {self.path} cannot be read: {error.strerror or error}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"registry.docker_config {self.path} is not JSON") from error
        if not isinstance(config, dict):
            raise ConfigurationError(f"registry.docker_config {self.path} must hold a JSON object")
        return config

    def _stored(self, entry: Any) -> Credentials | None:
        if not isinstance(entry, dict):
            return None
        token = entry.get("identitytoken") or None
        if not entry.get("auth"):
            return Credentials(identity_token=token) if token else None
        try:
            username, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (TypeError, ValueError) as error:
            raise ConfigurationError(self._malformed()) from error
        if not colon:
            raise ConfigurationError(self._malformed())
        return Credentials(username, password.rstrip("\0"), token)

    def _malformed(self) -> str:
        return f"registry.docker_config {self.path}: the auth of {self.host} is not base64 of user:password"

    def _ask(self, helper: str) -> Credentials | None:
        """Run `docker-credential-<helper> get`, and return its login."""
        # The output is in no error message: it may contain the secret.
        command = f"docker-credential-{helper}"
        try:
            answer = subprocess.run(
                [command, "get"],
                input=self.host,
                capture_output=True,
                text=True,
                timeout=self.timeout_s,
                check=False,
                env=child_environment(),
            )
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise AccessDenied(f"{command}, named in {self.path}, could not be run ({type(error).__name__})") from None
        if answer.returncode != 0:
            if "credentials not found" in answer.stdout:
                return None
            raise AccessDenied(f"{command}, named in {self.path}, ended with {answer.returncode} for {self.host}")
        try:
            login = json.loads(answer.stdout)
            username, secret = str(login["Username"]), str(login["Secret"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise AccessDenied(f"{command}, named in {self.path}, printed no login for {self.host}") from None
        # By Docker's convention, this user name means that the secret is an identity token.
        return Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)


def _of_host(entries: Any, host: str) -> Any:
    """The entry of `host`. Keys are host[:port] or, if written by an older Docker, a URL."""
    if not isinstance(entries, dict):
        return None
    if host in entries:
        return entries[host]
    return next((entry for key, entry in entries.items() if _host_of(key) == host), None)


def _host_of(key: str) -> str:
    try:
        return urlsplit(key if "//" in key else f"//{key}").netloc
    except ValueError:
        return ""
