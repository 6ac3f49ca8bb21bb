"""Look for parts that an index which still exists has lost: such an image cannot be pulled."""

from collections.abc import Iterator

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.retention.state import Tag
from service.registry import Registry
from service.store import Store
from service.store.snapshot import Snapshot


def check_parts(store: Store, registry: Registry, snapshot: Snapshot) -> int:
    """Raise an alarm for each part that was deleted although its index exists; return the number of such parts.

    Only deleted parts are looked up: an index may list a platform that was never pushed. Healing restores the parts
    that the trash has. An alarm ends once the part exists again, or its index does not.
    """
    repository = snapshot.repository
    alarms = {trouble.about for trouble in store.outbox.troubles() if trouble.about.startswith(f"part {repository}@")}
    parts = tuple(_parts(snapshot))
    # The trash may have many thousands of digests, and this is read before each batch of manifests without a tag.
    if not parts and not alarms:
        return 0
    in_trash = store.trash.digests(repository)
    deleted = in_trash | snapshot.deleted | {alarm.partition("@")[2] for alarm in alarms}
    lost = {part: index for part, index in parts if part in deleted and _is_lost(registry, snapshot, part, index)}
    for part, index in lost.items():
        fix = f"`pushprune restore {repository}@{part}` restores it" if part in in_trash else "push the image again"
        name = _index_name(snapshot, index)
        store.outbox.note_trouble(
            f"part {repository}@{part}",
            f"this manifest was deleted although the index {name} needs it, so the image cannot be "
            f"pulled for its platform: {fix}",
        )
    for alarm in alarms - {f"part {repository}@{part}" for part in lost}:
        store.outbox.end_trouble(alarm)
    if indexes := {index for part, index in lost.items() if part in in_trash}:
        store.deletions.request_healing(repository, sorted(indexes))
    return len(lost)


def end_alarms(store: Store, registry: Registry) -> None:
    """End the alarm about each part that exists again, or that no existing index lists any more."""
    for trouble in store.outbox.troubles():
        image = trouble.about.removeprefix("part ")
        if image == trouble.about:
            continue
        repository, _, part = image.partition("@")
        snapshot = store.history.snapshot(repository)
        if None in snapshot.links.values():
            # An index that was not read yet may list the part.
            continue
        indexes = [index for listed, index in _parts(snapshot) if listed == part]
        try:
            if not any(_is_lost(registry, snapshot, part, index) for index in indexes):
                store.outbox.end_trouble(trouble.about)
        except (RegistryUnavailable, RegistryRefused):
            # Without an answer the alarm remains, and is checked again.
            continue


def _parts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Return (part, index that lists it) for every index whose manifest was read."""
    for index, known in snapshot.links.items():
        yield from ((part, index) for part in (known.children if known else ()))


def _is_lost(registry: Registry, snapshot: Snapshot, part: str, index: str) -> bool:
    head = registry.client.head
    return head(snapshot.repository, part) is None and head(snapshot.repository, index) is not None


def _index_name(snapshot: Snapshot, index: str) -> str:
    """Return the name of the index: by one of its tags if it has any, else by its digest."""
    tag = next((tag for tag in snapshot.tags if tag.digest == index), Tag("", index, None))
    return tag.called(snapshot.repository)
