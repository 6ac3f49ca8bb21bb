"""gunicorn's settings: `gunicorn --config python:service.web.server 'service.web.app:create_app()'`."""

import sys

from service.domain.errors import ConfigurationError
from service.settings import load_settings

_THREADS = 8

try:
    _settings = load_settings()
except ConfigurationError as error:
    sys.exit(f"pushprune: {error}")

bind = _settings.listen
worker_class = "gthread"
# What waits at the gate holds a thread; notifications and the rest have theirs all the same.
threads = _THREADS + (_settings.gc.gate_waiting if _settings.gc.gate == "proxy" else 0)
timeout = 60
graceful_timeout = 5
keepalive = 5
accesslog = None
loglevel = "warning"
control_socket_disable = True
