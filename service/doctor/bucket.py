"""Check the storage if it is a bucket: rights, prefix, clock, versions, and that it is the registry's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from service.doctor.case import Case, not_now
from service.doctor.registry import BUCKET
from service.domain.errors import RegistryRefused
from service.domain.finding import Finding, error, fine, skipped, warning
from service.domain.oci.names import is_repository

if TYPE_CHECKING:
    # The extra `storage` may not be installed.
    from service.registry.objects import ObjectStore
    from service.registry.uploads import Unfinished

_NAME = "storage"
# Ages are compared with the storage's own clock. A larger difference makes times in reports misleading.
_SKEW_S = 60
_RIGHTS = "aws s3api put-bucket-policy …   # docs/bucket.md lists the rights that pushprune needs"
DAY_S = 86_400
_PURGE = "storage: {maintenance: {uploadpurging: {enabled: true, age: 24h, interval: 1h, dryrun: false}}}"
_PURGED = "in the registry's config.yml, then restart it"
_LIFECYCLE = "aws s3api put-bucket-lifecycle-configuration …   # NoncurrentVersionExpiration for the registry's prefix"


def check(case: Case) -> Iterator[Finding]:
    """Check that the bucket is the registry's, and that pushprune has the rights there that it needs."""
    objects = case.wiring.registry.objects
    if objects is None:
        yield skipped(_NAME, "storage.path and storage.url are not set for this process")
        return
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            yield not_now(_NAME)
            return
        findings = tuple(_findings(case, objects))
    yield from findings
    if not findings:
        condition = ", also on the condition that they are unchanged" if objects.obeys_conditions else ""
        yield fine(_NAME, f"{objects.name} is the registry's; objects can be listed, written and deleted{condition}")


def _findings(case: Case, objects: ObjectStore) -> Iterator[Finding]:
    # The extra `storage` is there, as the bucket was opened.
    from service.registry.bucket_probe import probe_bucket, prove
    from service.registry.bucket_uploads import unfinished_in

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
    if abilities.bulk_error:
        sentence = (
            f"{objects.name} does not delete several objects in one request ({abilities.bulk_error}), so each of them "
            "takes a request of its own: deletions and collections take long"
        )
        yield warning(_NAME, sentence, "delete: {via: api}   # or a storage that supports DeleteObjects")
    if not abilities.obeys_conditions and case.wiring.settings.delete.via == "storage":
        sentence = (
            f"{objects.name} ignores conditions of deletions (If-Match): a tag that is pushed at the moment of its "
            "deletion may be deleted, and is restored right afterwards"
        )
        yield warning(_NAME, sentence, "delete: {via: api}   # or a storage that supports If-Match")
    if not abilities.creates_once:
        sentence = (
            f"{objects.name} ignores conditions of writes (If-None-Match): a tag that is pushed at the moment when "
            "pushprune restores it may be overwritten, and is restored right afterwards"
        )
        yield warning(_NAME, sentence, "delete: {via: api}   # or a storage that supports If-None-Match")
    storage = case.wiring.registry.storage
    repositories = [name for name in storage.repositories() if is_repository(name)] if storage else []
    yield from abandoned(unfinished_in(objects, repositories, abilities.clock_us, DAY_S))


def abandoned(uploads: Unfinished) -> Iterator[Finding]:
    """Return the finding of abandoned uploads, if there are any."""
    if uploads.count:
        sentence = (
            f"{uploads.count} uploads abandoned for more than a day hold {megabytes(uploads.size_bytes)} MB, the "
            f"oldest for {uploads.oldest_s / DAY_S:.0f} days: garbage collection does not delete them"
        )
        yield warning(_NAME, sentence, f"{_PURGE}   # {_PURGED}")


def megabytes(size_bytes: int) -> str:
    """A size in MB, with one decimal if it is small."""
    return f"{size_bytes / 1e6:.1f}" if size_bytes < 1e7 else f"{size_bytes / 1e6:.0f}"
