"""Where the storage is mounted: uploads that nobody ends, and room left on the disk."""

import shutil
from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.finding import Finding, error, fine, warning
from service.registry.uploads import unfinished

_NAME = "storage"
_DAY_S = 86_400
_PURGE = "storage: {maintenance: {uploadpurging: {enabled: true, age: 24h, interval: 1h, dryrun: false}}}"
_PURGED = "in the registry's config.yml, then restart it"


def check(case: Case) -> Iterator[Finding]:
    storage = case.wiring.storage
    if storage is None:
        yield fine(_NAME, "not looked at: storage.path is not set")
        return
    if not storage.root.is_dir():
        said = f"storage.path {storage.root} is no folder on this machine"
        yield warning(
            _NAME, said, "storage: {path: /var/lib/registry}   # the registry's rootdirectory, as it is mounted here"
        )
        return
    found = (*_uploads(case), *_room(case))
    yield from found
    if not found:
        yield fine(_NAME, f"no upload under {storage.root} is older than a day")


def _uploads(case: Case) -> Iterator[Finding]:
    storage = case.wiring.storage
    left = unfinished(storage.root, case.now_s(), _DAY_S) if storage else None
    if left and left.count:
        said = (
            f"{left.count} uploads that nobody ended in a day hold {_mb(left.size_bytes)} MB, the oldest for "
            f"{left.oldest_s / _DAY_S:.0f} days: no garbage collection takes them"
        )
        yield warning(_NAME, said, f"{_PURGE}   # {_PURGED}")


def _room(case: Case) -> Iterator[Finding]:
    storage = case.wiring.storage
    if storage is None:
        return
    disk = shutil.disk_usage(storage.root)
    share = disk.free / disk.total
    said = f"{share:.0%} of the disk under {storage.root} is free ({_mb(disk.free)} MB)"
    if share < 0.02:
        yield error(_NAME, f"{said}: pushes are about to fail", "pushprune gc --now")
    elif share < 0.1:
        yield warning(_NAME, said, "pushprune gc --now")


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}" if size_bytes < 1e7 else f"{size_bytes / 1e6:.0f}"
