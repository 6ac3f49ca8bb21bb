"""gunicorn's settings: `gunicorn --config python:service.web.server 'service.web.app:create_app()'`."""

import sys

from service.domain.errors import ConfigurationError
from service.settings import load_settings

try:
    bind = load_settings().listen
except ConfigurationError as error:
    sys.exit(f"pushprune: {error}")

worker_class = "gthread"
threads = 8
timeout = 60
graceful_timeout = 5
keepalive = 5
accesslog = None
loglevel = "warning"
control_socket_disable = True
