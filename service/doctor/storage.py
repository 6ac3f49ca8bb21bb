"""Check the mounted storage: abandoned uploads, and free space on the disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from service.doctor import bucket
from service.doctor.case import Case
from service.domain.finding import Finding, error, fine, warning
from service.registry.uploads import unfinished

_NAME = "storage"
_DAY_S = 86_400
_PURGE = "storage: {maintenance: {uploadpurging: {enabled: true, age: 24h, interval: 1h, dryrun: false}}}"
_PURGED = "in the registry's config.yml, then restart it"


def check(case: Case) -> Iterator[Finding]:
    """Check the storage that is mounted or whose bucket is known."""
    root = case.wiring.settings.storage.folder
    if root is None:
        yield from bucket.check(case)
        return
    if not root.is_dir():
        sentence = f"storage.path {root} is no folder on this machine"
        yield warning(
            _NAME,
            sentence,
            "storage: {path: /var/lib/registry}   # the registry's rootdirectory, as it is mounted here",
        )
        return
    findings = (*_uploads(root, case.now_s()), *_room(root))
    yield from findings
    if not findings:
        yield fine(_NAME, f"no upload under {root} is older than a day")


def _uploads(root: Path, now_s: float) -> Iterator[Finding]:
    uploads = unfinished(root, now_s, _DAY_S)
    if uploads.count:
        sentence = (
            f"{uploads.count} uploads abandoned for more than a day hold {_mb(uploads.size_bytes)} MB, the oldest for "
            f"{uploads.oldest_s / _DAY_S:.0f} days: garbage collection does not delete them"
        )
        yield warning(_NAME, sentence, f"{_PURGE}   # {_PURGED}")


def _room(root: Path) -> Iterator[Finding]:
    disk = shutil.disk_usage(root)
    share = disk.free / disk.total
    sentence = f"{share:.0%} of the disk under {root} is free ({_mb(disk.free)} MB)"
    if share < 0.02:
        yield error(_NAME, f"{sentence}: pushes are about to fail", "pushprune gc --now")
    elif share < 0.1:
        yield warning(_NAME, sentence, "pushprune gc --now")


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}" if size_bytes < 1e7 else f"{size_bytes / 1e6:.0f}"
