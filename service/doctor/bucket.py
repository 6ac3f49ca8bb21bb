"""Check the storage if it is a bucket: rights, prefix, clock, versions, and that it is the registry's."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.doctor.registry import BUCKET
from service.domain.errors import RegistryRefused
from service.domain.finding import Finding, error, fine, warning
from service.registry.objects import ObjectStore

_NAME = "storage"
# Ages are compared with the storage's own clock. A larger difference makes times in reports misleading.
_SKEW_S = 60
_RIGHTS = "aws s3api put-bucket-policy …   # docs/garbage-collection.md lists the rights that pushprune needs"
_LIFECYCLE = "aws s3api put-bucket-lifecycle-configuration …   # NoncurrentVersionExpiration for the registry's prefix"


def check(case: Case) -> Iterator[Finding]:
    """Check that the bucket is the registry's, and that pushprune may do there what it needs."""
    objects = case.wiring.registry.objects
    if objects is None:
        yield fine(_NAME, "not checked: storage.path and storage.url are not set")
        return
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            yield warning(_NAME, "not checked: a garbage collection is running", "pushprune doctor   # after it")
            return
        findings = tuple(_findings(case, objects))
    yield from findings
    if not findings:
        yield fine(_NAME, f"{objects.name} is the registry's; objects can be listed, written and deleted")


def _findings(case: Case, objects: ObjectStore) -> Iterator[Finding]:
    # The extra `storage` is there, as the bucket was opened.
    from service.registry.bucket_deletion import prove
    from service.registry.bucket_probe import probe_bucket

    try:
        abilities = probe_bucket(objects)
    except RegistryRefused as refused:
        yield error(_NAME, str(refused), _RIGHTS)
        return
    try:
        prove(objects, case.wiring.registry.client, case.repository)
    except RegistryRefused as refused:
        empty = "" if abilities.holds_registry else "; nothing of a registry is at this prefix"
        yield error(_NAME, f"{refused}{empty}", BUCKET)
    skew_s = abs(case.now_s() - abilities.clock_us / 1e6)
    if skew_s > _SKEW_S:
        sentence = f"the clock of {objects.name} and that of this machine differ by {skew_s:.0f} seconds"
        yield warning(_NAME, sentence, "timedatectl set-ntp true")
    if abilities.is_versioned:
        sentence = (
            f"{objects.name} keeps versions: deleted data takes up space until a lifecycle rule removes its versions"
        )
        yield warning(_NAME, sentence, _LIFECYCLE)
    if not abilities.creates_once:
        sentence = (
            f"{objects.name} ignores conditions of writes (If-None-Match): a tag that is pushed in the moment in which "
            "pushprune restores it may be overwritten, and is healed afterwards"
        )
        yield warning(_NAME, sentence, "delete: {via: api}   # or a storage that obeys If-None-Match")
