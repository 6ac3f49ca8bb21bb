"""Find out what a bucket can do, with a few small objects that the registry does not look at."""

from dataclasses import dataclass
from uuid import uuid4

from service.domain.errors import StorageRefused
from service.registry.layout import BASE, OURS
from service.registry.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class BucketAbilities:
    """The abilities of a bucket.

    Attributes:
        holds_registry: True if there is anything of a registry at this prefix.
        creates_once: True if a write can be bound to the condition that the object does not exist.
        bulk_error: of the deletion of several objects in one request; "" if the storage does that.
        obeys_conditions: True if a deletion can be bound to the condition that the object is unchanged.
        is_versioned: True if the bucket keeps what is deleted or overwritten as a version.
        clock_us: the time there, in µs since the epoch.
    """

    holds_registry: bool
    creates_once: bool
    bulk_error: str
    obeys_conditions: bool
    is_versioned: bool
    clock_us: int


def probe_bucket(objects: ObjectStore) -> BucketAbilities:
    """Write, list, read and delete a few objects.

    Raises:
        StorageRefused: one of these is not allowed, or has no effect.
        StorageUnavailable: the storage did not answer.
    """
    folder = f"{OURS}/probe/{uuid4().hex}"
    keys = [f"{folder}/1", f"{folder}/2"]
    holds_registry = next(objects.list(BASE), None) is not None
    is_versioned = objects.write(keys[0], b"1")
    objects.write(keys[1], b"2")
    try:
        if sorted(stored.key for stored in objects.list(folder)) != keys or objects.read(keys[0]) != b"1":
            raise StorageRefused(f"{objects.name} does not list or return what was just written there")
        creates_once = not objects.create(keys[0], b"3")
        obeys_conditions, clock_us = objects.obeys_conditions, objects.now_us()
        bulk_error = objects.bulk_error(keys)
    finally:
        failed = objects.delete(keys)
    if failed:
        raise StorageRefused(f"{objects.name}: objects cannot be deleted: {failed.popitem()[1]}")
    if next(objects.list(folder), None) is not None:
        raise StorageRefused(f"{objects.name} still lists what was just deleted there")
    return BucketAbilities(holds_registry, creates_once, bulk_error, obeys_conditions, is_versioned, clock_us)
