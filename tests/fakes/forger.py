"""Events as a holder of the notify token can make them up: none of them happened at the registry."""

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.fakes.images import sha256

Hear = Callable[[dict[str, Any]], object]


def invented(name: str) -> str:
    """A digest that no registry has."""
    return sha256(f"invented {name}".encode())


class Forger:
    """A sender of forged events about one repository.

    Attributes:
        hear: takes an envelope, as the registry would post it.
        actor: the user who is said to have done all this.
        agent: the User-Agent that is said to have sent it.
    """

    def __init__(self, hear: Hear, repository: str, *, actor: str = "mallory", agent: str = "docker/29") -> None:
        self._hear, self._repository, self._actor, self._agent = hear, repository, actor, agent

    def push(
        self,
        tag: str | None,
        digest: str,
        media_type: str = OCI_MANIFEST,
        references: Iterable[tuple[str, str]] = (),
        *,
        later: timedelta = timedelta(),
    ) -> None:
        """A push. references: media type and digest of each; later: by how much its time is off."""
        listed = [{"mediaType": kind, "digest": item, "size": 7} for kind, item in references]
        target = {"mediaType": media_type, "digest": digest, "size": 512, "references": listed}
        self._send("push", target | ({"tag": tag} if tag else {}), later)

    def push_index(self, tag: str | None, digest: str, *children: str, later: timedelta = timedelta()) -> None:
        """A push of an index that lists these children, as the event says."""
        self.push(tag, digest, OCI_INDEX, [(OCI_MANIFEST, child) for child in children], later=later)

    def delete(self, digest: str = "", tag: str = "", *, later: timedelta = timedelta()) -> None:
        """A delete of a manifest or of a tag."""
        self._send("delete", {"digest": digest} if digest else {"tag": tag}, later)

    def pull(self, tag: str | None, digest: str, *, later: timedelta = timedelta()) -> None:
        """Report a pull of a tag, or by digest."""
        target = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 512}
        self._send("pull", target | ({"tag": tag} if tag else {}), later)

    def _send(self, action: str, target: dict[str, Any], later: timedelta) -> None:
        event = {
            "id": str(uuid.uuid4()),
            "timestamp": (datetime.now(UTC) + later).isoformat().replace("+00:00", "Z"),
            "action": action,
            "target": {"repository": self._repository, **target},
            "request": {"addr": "10.6.6.6:6666", "useragent": self._agent},
            "actor": {"name": self._actor},
        }
        self._hear({"events": [event]})
