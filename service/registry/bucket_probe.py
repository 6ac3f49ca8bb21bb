"""Find out what a bucket can do, and prove that it is the registry's."""

from dataclasses import dataclass
from uuid import uuid4

from service.domain.errors import RegistryRefused, StorageRefused
from service.registry.client import RegistryClient
from service.registry.layout import BASE, OURS, tags_key
from service.registry.objects import ObjectStore

# The marker that proves a bucket begins so, which no tag can.
SIGN = ".pushprune-"
# A valid digest that no manifest has: the registry reads the links of all tags when it deletes a manifest.
_NOWHERE = f"sha256:{'0' * 64}"
_ELSEWHERE = "set storage.url to the registry's bucket and rootdirectory, or delete.via: api"


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
    """Write, list, read and delete a few small objects that the registry does not look at.

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


def prove(objects: ObjectStore, client: RegistryClient, repository: str) -> None:
    """Prove that the registry serves this bucket: it must list a marker, created under a name that no tag can have.

    Raises:
        RegistryRefused: the registry does not list it.
    """
    sign = f"{SIGN}{uuid4().hex}"
    key = f"{tags_key(repository)}/{sign}/current/link"
    objects.write(key, _NOWHERE.encode())
    try:
        listed = client.tags(repository)
    finally:
        failed = objects.delete([key])
    if failed:
        raise RegistryRefused(
            f"{objects.name}: a marker cannot be deleted ({failed[key]}): allow s3:DeleteObject, or set delete.via: api"
        )
    if sign not in listed:
        raise RegistryRefused(
            f"{objects.name} is not what the registry serves: the registry does not list a marker that was created in "
            f"{repository} there: {_ELSEWHERE}"
        )
