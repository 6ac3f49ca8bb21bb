"""The lines that an operator adds to the registry's config.yml, so that the registry reports every push."""

import socket

from service.settings import Settings

_EVERYWHERE = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104 - compared with, not bound to
DELETE_HINT = "# The registry must also allow deleting:  storage: {delete: {enabled: true}}"


def address(settings: Settings) -> str:
    """Return the address for other machines: `listen`, with this machine's name if it means all addresses."""
    host, _, port = settings.listen.rpartition(":")
    return f"http://{socket.gethostname() if host in _EVERYWHERE else host}:{port}"


def notifications(url: str, token: str) -> str:
    """Return the `notifications:` block, YAML, for a service at `url` with this notify token, or "" without any."""
    headers = f'      headers: {{Authorization: ["Bearer {token}"]}}\n' if token else ""
    return f"""\
notifications:
  events: {{includereferences: true}}
  endpoints:
    - name: pushprune
      url: {url}/notifications
{headers}"""
