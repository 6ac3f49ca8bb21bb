"""The lines an operator pastes into the registry's config.yml, so that it tells us of every push."""

import socket

from service.settings import Settings

_EVERYWHERE = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104 - compared with, not bound to
DELETE_HINT = "# The registry must also allow deleting:  storage: {delete: {enabled: true}}"


def address(settings: Settings) -> str:
    """The address others reach us at: `listen`, with this machine's name where it says "everywhere"."""
    host, _, port = settings.listen.rpartition(":")
    return f"http://{socket.gethostname() if host in _EVERYWHERE else host}:{port}"


def notifications(url: str, token: str) -> str:
    """The `notifications:` block, six lines of YAML, for a service at `url` that knows the notify token."""
    return f"""\
notifications:
  events: {{includereferences: true}}
  endpoints:
    - name: pushprune
      url: {url}/notifications
      headers: {{Authorization: ["Bearer {token}"]}}
"""
