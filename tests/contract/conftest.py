"""The registries over which the contract is run: the fake as 2.8, 3.1.1 and 3, and the real one."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from service.registry.client import RegistryClient
from tests.fakes.login import Login
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import LOGIN, RealRegistry, require_registry
from tests.fakes.receiver import Receiver
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_storage import Version

AGENT = "pushprune/"
VERSIONS: dict[str, Version] = {"fake 2.8": "2.8", "fake 3.1.1": "3.1.1", "fake 3": "3"}


@dataclass
class Site:
    """One registry under test, with a pusher, a receiver of its notifications, and our client."""

    registry: FakeRegistry | RealRegistry
    heard: Receiver
    pusher: Pusher
    client: RegistryClient

    @property
    def url(self) -> str:
        return self.registry.url

    @property
    def is_3(self) -> bool:
        return self.registry.version.startswith("3")

    @property
    def is_main(self) -> bool:
        """True for the main branch after 3.1.1; a binary built from it does not call itself by a release's number."""
        return isinstance(self.registry, FakeRegistry) and self.registry.version == "3"

    def our_requests(self) -> int:
        if isinstance(self.registry, FakeRegistry):
            return self.registry.count(AGENT)
        return self.registry.request_count(AGENT)

    def collect(self) -> None:
        self.registry.collect()

    def drop_manifest(self, repository: str, digest: str) -> None:
        """Remove a manifest and leave its tags, as a DELETE that fails halfway does."""
        if isinstance(self.registry, FakeRegistry):
            del self.registry.storage.repositories[repository].manifests[digest]
        else:
            self.registry.manifest_link(repository, digest).unlink()

    def events_until_marker(self) -> list[dict[str, Any]]:
        """All events so far: a push into a repository of its own, the last to be delivered, marks their end."""
        marker = self.pusher.push_image("marker", "end")
        self.heard.wait_for(lambda events: any(event["target"].get("digest") == marker for event in events))
        return [event for event in self.heard.since(0) if event["target"]["repository"] != "marker"]


class Sites:
    """The function that builds the registry of this run with the options of a test."""

    def __init__(self, kind: str, stack: ExitStack) -> None:
        self.kind = kind
        self._stack = stack

    def open(
        self,
        *,
        delete_enabled: bool = True,
        readonly: bool = False,
        login: bool = False,
        max_tags: int | None = None,
        max_entries: int | None = None,
        **fake: Any,
    ) -> Site:
        """Start the registry of this run.

        Args:
            delete_enabled: `storage.delete.enabled`.
            readonly: `storage.maintenance.readonly`.
            login: only LOGIN may come in, by Basic; the pusher knows it, the client does not.
            max_tags: `tags.maxtags`.
            max_entries: `catalog.maxentries`.
            **fake: more for the fake registry; the real one cannot play it, and the test is skipped there.
        """
        heard = self._stack.enter_context(Receiver())
        bounds: dict[str, int] = {}
        if max_tags is not None:
            bounds["max_tags"] = max_tags
        if max_entries is not None:
            bounds["max_entries"] = max_entries
        registry = self._registry(heard.url, delete_enabled, readonly, login, {**bounds, **fake})
        self._stack.enter_context(registry)
        pusher = self._stack.enter_context(Pusher(registry.url, login=LOGIN if login else None))
        return Site(registry, heard, pusher, RegistryClient(registry.url))

    def _registry(
        self, notify_url: str, delete_enabled: bool, readonly: bool, login: bool, more: dict[str, Any]
    ) -> FakeRegistry | RealRegistry:
        if self.kind == "real":
            config: dict[str, Any] = {"storage": {"maintenance": {"readonly": {"enabled": True}}}} if readonly else {}
            config["tags"] = {"maxtags": more.pop("max_tags", 1000)}
            config["catalog"] = {"maxentries": more.pop("max_entries", 1000)}
            if more:
                pytest.skip(f"a real registry cannot be told to play {', '.join(more)}")
            return RealRegistry(notify_url=notify_url, delete_enabled=delete_enabled, htpasswd=login, config=config)
        return FakeRegistry(
            VERSIONS[self.kind],
            delete_enabled=delete_enabled,
            readonly=readonly,
            login=Login(*LOGIN) if login else None,
            notify_url=notify_url,
            **more,
        )


@pytest.fixture(params=[*VERSIONS, pytest.param("real", marks=pytest.mark.live)])
def sites(request: pytest.FixtureRequest) -> Iterator[Sites]:
    if request.param == "real":
        require_registry()
    with ExitStack() as stack:
        yield Sites(request.param, stack)


@pytest.fixture
def site(sites: Sites) -> Site:
    return sites.open()
