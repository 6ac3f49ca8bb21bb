"""Construct the clients of the registry.

This is no part of wiring.py, so that a verb imports little before its first request.
"""

from collections.abc import Callable

from service.domain.errors import ConfigurationError
from service.registry.auth import RegistryAuth, build_auth
from service.registry.client import RegistryClient
from service.registry.v1 import RegistryV1
from service.settings import Settings


def registry_client(
    settings: Settings, timed: Callable[[str, float], object] = lambda *_: None, word: Callable[[], str] | None = None
) -> RegistryClient | None:
    """The client of the registry; None if `registry.url` is not set. timed, word: as for RegistryTransport."""
    registry = settings.registry
    if registry.url is None:
        return None
    return RegistryClient(
        registry.url,
        auth=registry_auth(settings, registry.url),
        ca_file=registry.ca_file,
        timeout_s=registry.timeout_s,
        delete_timeout_s=registry.delete_timeout_s,
        parallel=settings.delete.parallel,
        timed=timed,
        word=word,
        instead=f"or set delete.via: storage, as its storage is at {place}"
        if (place := settings.storage.folder or settings.storage.bucket)
        else "",
    )


def registry_v1(settings: Settings) -> RegistryV1:
    """The client of a registry of version 1. Raises ConfigurationError if `registry.url` is not set."""
    registry = settings.registry
    if registry.url is None:
        raise ConfigurationError("--v1 needs a registry: add --registry URL, or set registry.url")
    auth = registry_auth(settings, registry.url)
    return RegistryV1(registry.url, auth=auth, ca_file=registry.ca_file, timeout_s=registry.timeout_s)


def registry_auth(settings: Settings, url: str) -> RegistryAuth | None:
    """The login of the registry at this URL; None if none is configured."""
    registry = settings.registry
    password = registry.password.get_secret_value() if registry.password else None
    return build_auth(
        url,
        username=registry.username,
        password=password,
        docker_config=registry.docker_config,
        ca_file=registry.ca_file,
        timeout_s=registry.timeout_s,
        token_server=registry.token_server,
    )
