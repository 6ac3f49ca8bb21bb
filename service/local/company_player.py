"""Play the pushes of a company through ingest and planning, in this process, as fast as they are recorded.

The registry is a model of tags in memory. What a plan dooms is deleted there, and recorded as deleted. Nothing is sent
to any registry, and nothing is saved to the trash.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from service.clock import now_us
from service.domain.errors import LeaseLost
from service.domain.events import parse
from service.domain.oci.manifest import OCI_INDEX, OCI_MANIFEST
from service.domain.retention.plan import Doomed
from service.ingest.record import Recorder
from service.local.company import CompanyPush
from service.prune import planning
from service.registry import Registry
from service.registry.client import RegistryClient
from service.registry.manifest import Manifest, ManifestHead
from service.wiring import Wiring

# The web process records as many notifications together if they wait.
AT_ONCE = 64


class CompanyRegistry(RegistryClient):
    """A model of a registry: the tags of the company, and the parts of its indexes. No request is sent."""

    def __init__(self) -> None:
        super().__init__("http://company.invalid")
        self._tags: dict[str, dict[str, str]] = {}
        self._children: dict[str, tuple[str, ...]] = {}

    def push(self, push: CompanyPush) -> None:
        """Store a pushed manifest."""
        self._children[push.digest] = push.children
        if push.tag:
            self._tags.setdefault(push.repository, {})[push.tag] = push.digest

    def remove(self, repository: str, image: Doomed) -> None:
        """Delete the tags of an image, and its manifest if no other tag keeps it."""
        for tag in image.tags:
            self._tags[repository].pop(tag, None)
        if not image.only_tags:
            self._children.pop(image.digest, None)

    def tags(self, repository: str) -> tuple[str, ...]:
        """Every tag of a repository."""
        return tuple(self._tags.get(repository, ()))

    def head(self, repository: str, reference: str, *, unless: str | None = None) -> ManifestHead | None:
        """Return the digest of a tag or digest; None if the model does not have it."""
        manifest = self.get(repository, reference)
        return ManifestHead(manifest.digest, manifest.media_type) if manifest else None

    def get(self, repository: str, reference: str) -> Manifest | None:
        """Return a manifest with its parts; None if the model does not have it."""
        digest = reference if ":" in reference else self._tags.get(repository, {}).get(reference, "")
        children = self._children.get(digest)
        if children is None:
            return None
        media_type = OCI_INDEX if children else OCI_MANIFEST
        content = {"schemaVersion": 2, "mediaType": media_type, "config": {}, "layers": []}
        if children:
            parts = [{"mediaType": OCI_MANIFEST, "size": 1, "digest": child} for child in children]
            content = {"schemaVersion": 2, "mediaType": media_type, "manifests": parts}
        return Manifest(digest, media_type, json.dumps(content).encode())


class CompanyPlayer:
    """The web process and the worker of the company, in one thread."""

    def __init__(self, wiring: Wiring) -> None:
        """Prepare. wiring: its registry is replaced by a model."""
        self.registry = CompanyRegistry()
        self._wiring = replace(wiring, registry=Registry(optional_client=self.registry))
        self._recorder = Recorder(wiring.store, wiring.policies)

    def record(self, pushes: Iterable[CompanyPush]) -> tuple[str, ...]:
        """Record the notifications of these pushes in one call, as the web process does; return what is due then."""
        for push in pushes:
            self.registry.push(push)
        envelopes = [parse(body, now_us()) for push in pushes for body in push.bodies]
        due = (name for result in self._recorder.record(envelopes) for name in result.due)
        return tuple(dict.fromkeys(due))

    def plan(self, repository: str) -> None:
        """Plan a repository, as a worker does."""
        is_planned = False
        while not is_planned:
            # If the machine was suspended, the lease has expired, and the plan is made again.
            with suppress(LeaseLost):
                planning.enforce(self._wiring, repository)
                is_planned = True

    def doomed(self) -> tuple[str, ...]:
        """Return the repositories with doomed images."""
        connection = self._wiring.store.connection
        return tuple(connection.redis.zrange(connection.keys.of("doomed"), 0, -1))

    def delete(self, repository: str) -> tuple[int, bool]:
        """Record that the doomed images of a repository are deleted.

        Returns:
            Their number; and True if the repository must be planned again.
        """
        store, must_plan = self._wiring.store, False
        doomed = store.history.doomed(repository)
        snapshot = store.history.snapshot(repository) if doomed else None
        for image in doomed:
            self.registry.remove(repository, image)
            if image.only_tags:
                must_plan |= store.deletions.untagged(repository, [(image, image.verdicts)])
            elif snapshot:
                must_plan |= store.deletions.forget(snapshot, image)
        return len(doomed), must_plan

    def enforce(self, due: Iterable[str]) -> int:
        """Plan repositories and delete what is doomed, until nothing is; return the number of deleted images."""
        count, repositories = 0, tuple(due)
        while repositories:
            for repository in repositories:
                self.plan(repository)
            deleted = {repository: self.delete(repository) for repository in self.doomed()}
            count += sum(number for number, _ in deleted.values())
            repositories = tuple(repository for repository, (_, must_plan) in deleted.items() if must_plan)
        return count

    def drop_messages(self) -> None:
        """Drop the messages to workers: this process does their work."""
        connection = self._wiring.store.connection
        connection.redis.delete(connection.keys.of("enforce"), connection.keys.of("delete"))


def batches(pushes: Iterable[CompanyPush]) -> Iterator[tuple[CompanyPush, ...]]:
    """Yield the pushes in batches of at most AT_ONCE notifications. A push that has more is a batch of its own."""
    batch: list[CompanyPush] = []
    count = 0
    for push in pushes:
        if batch and count + len(push.bodies) > AT_ONCE:
            yield tuple(batch)
            batch, count = [], 0
        batch.append(push)
        count += len(push.bodies)
    if batch:
        yield tuple(batch)
