"""The login of the fake registry: Basic, or bearer tokens from a token endpoint of its own."""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from tests.fakes.registry_storage import Refused


@dataclass
class Login:
    """Logins of the fake. denied: actions a token is never granted; realm: the place of tokens, default the fake."""

    username: str = "pruner"
    password: str = "s3cret-Password"
    scheme: Literal["basic", "token"] = "basic"
    token_life_s: float = 60.0
    denied: frozenset[str] = frozenset()
    identity_token: str | None = None
    realm: str | None = None
    _granted: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def expire_tokens(self) -> None:
        """Refuse all tokens that were handed out so far."""
        with self._lock:
            self._granted.clear()

    def challenge(self, authorization: str | None, method: str, path: str, base: str) -> str | None:
        """The WWW-Authenticate to refuse a request with; None lets it in."""
        if self.scheme == "basic":
            return None if self._knows(authorization) else 'Basic realm="fake registry"'
        needed = scope_of(method, path)
        if self._covers(authorization, needed):
            return None
        realm = self.realm or f"{base}/token"
        scope = f',scope="{needed}"' if needed else ""
        error = ',error="insufficient_scope"' if authorization else ""
        return f'Bearer realm="{realm}",service="fake-registry"{scope}{error}'

    def token(self, method: str, target: str, authorization: str | None, body: bytes) -> dict[str, object]:
        """The token endpoint: GET with Basic, or POST of the OAuth2 form with a refresh token."""
        query = parse_qs(body.decode() if method == "POST" else urlsplit(target).query)
        if method == "POST":
            if self.identity_token is None or query.get("refresh_token") != [self.identity_token]:
                raise Refused(401, "UNAUTHORIZED", "authentication required")
        elif not self._knows(authorization):
            raise Refused(401, "UNAUTHORIZED", "authentication required")
        wanted = [scope for joined in query.get("scope", []) for scope in joined.split()]
        scopes = frozenset(
            part for scope in wanted for part in _single(scope) if part.rsplit(":", 1)[1] not in self.denied
        )
        value = f"token-{uuid.uuid4()}"
        with self._lock:
            self._granted[value] = (scopes, time.monotonic() + self.token_life_s)
        return {"access_token" if method == "POST" else "token": value, "expires_in": int(self.token_life_s)}

    def _knows(self, authorization: str | None) -> bool:
        expected = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return authorization == f"Basic {expected}"

    def _covers(self, authorization: str | None, needed: str) -> bool:
        with self._lock:
            scopes, until = self._granted.get((authorization or "").removeprefix("Bearer "), (frozenset(), 0.0))
        return time.monotonic() < until and _single(needed) <= scopes


def scope_of(method: str, path: str) -> str:
    """The scope that Distribution asks for; "" for /v2/, where any token does."""
    if path.startswith("/v2/_catalog"):
        return "registry:catalog:*"
    for middle in ("/manifests/", "/blobs/", "/tags/"):
        if middle in path:
            actions: Mapping[str, str] = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}
            return f"repository:{path.removeprefix('/v2/').rsplit(middle, 1)[0]}:{actions.get(method, 'pull,push')}"
    return ""


def unauthorized() -> bytes:
    error = {"code": "UNAUTHORIZED", "message": "authentication required", "detail": None}
    return json.dumps({"errors": [error]}).encode() + b"\n"


def _single(scope: str) -> set[str]:
    """`repository:a:pull,push` as one scope per action."""
    if not scope:
        return set()
    head, _, actions = scope.rpartition(":")
    return {f"{head}:{action}" for action in actions.split(",")}
