"""Free TCP ports, and the URLs of listening processes."""

import os
import socket

from service.settings.kinds import listen_host

_THIS_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where "everywhere" is reached


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def why_not_listen(host: str, port: int) -> str | None:
    """Return the reason that forbids listening at this address now, or None. A host of "" means all addresses."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return None
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else "there is no such address"


def reached(listen: str) -> str:
    """Return the URL at which this machine reaches a process that listens at HOST:PORT."""
    host, port = listen_host(listen), listen.rpartition(":")[2]
    host = _THIS_MACHINE.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
