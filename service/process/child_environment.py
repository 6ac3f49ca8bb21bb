"""The environment of the commands that pushprune runs for others: what they need, and no secret of pushprune."""

import os
from collections.abc import Mapping

_NAMES = frozenset({
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
    # Proxies, and the authorities whose certificates are trusted.
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    # Go programs, such as the registry.
    *("GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"),
    # docker exec, kubectl exec and ssh need these to reach the registry; credential helpers, to reach their store.
    *("KUBECONFIG", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "GNUPGHOME", "PASSWORD_STORE_DIR"),
})  # fmt: skip
_PREFIXES = (
    *("LC_", "XDG_", "REGISTRY_", "OTEL_", "DOCKER_", "COMPOSE_", "CONTAINER_", "KUBERNETES_"),
    *("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_"),  # object storage, and logins to the registries of clouds
)


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the part of an environment that a collector, a hook, a credential helper or an embedded server may have.

    Args:
        environ: the environment; the one of this process if not given.
    """
    return {name: value for name, value in (os.environ if environ is None else environ).items() if _is_handed_on(name)}


def _is_handed_on(name: str) -> bool:
    return name.upper() in _NAMES or name.startswith(_PREFIXES)
