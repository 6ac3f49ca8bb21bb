"""Check the mounted storage: abandoned uploads, and free space on the disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from service.doctor import bucket
from service.doctor.bucket import abandoned, megabytes
from service.doctor.case import Case
from service.domain.finding import Finding, error, fine, warning
from service.registry.uploads import unfinished

_NAME = "storage"


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
    findings = (*abandoned(unfinished(root, case.now_s(), bucket.DAY_S)), *_room(root))
    yield from findings
    if not findings:
        yield fine(_NAME, f"no upload under {root} is older than a day")


def _room(root: Path) -> Iterator[Finding]:
    disk = shutil.disk_usage(root)
    share = disk.free / disk.total
    sentence = f"{share:.0%} of the disk under {root} is free ({megabytes(disk.free)} MB)"
    if share < 0.02:
        yield error(_NAME, f"{sentence}: pushes are about to fail", "pushprune gc --now")
    elif share < 0.1:
        yield warning(_NAME, sentence, "pushprune gc --now")
