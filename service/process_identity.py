"""Where a process runs: a pid or a kernel lock says something only under the same kernel, in the same container.

Containers of one host may share its name, and number their processes alike; machines may have the same name.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")
_MOUNTS = Path("/proc/self/mountinfo")
_NAME = re.compile(r"(?P<host>\S+)/(?P<boot>[\w-]*)/(?P<pids>\d*)/(?P<pid>\d+)/(?P<alone>[0-9a-f]+)")
# No other kernel has one of these mounted at the same time.
_OF_ONE_KERNEL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs"})


def boot() -> str:
    """Identifies the running kernel since its start; "" where it does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Origin:
    """A process, by its kernel (`boot`), its PID namespace (`pids`) and its number there. alone: no other has it."""

    host: str
    boot: str
    pids: str
    pid: int
    alone: str

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pids}/{self.pid}/{self.alone}"


def here() -> Origin:
    """This process, by a name that no other one has, and that is another at every call."""
    try:
        pids = str(_PIDS.stat().st_ino)
    except OSError:
        pids = ""
    return Origin(socket.gethostname(), boot(), pids, os.getpid(), os.urandom(6).hex())


def is_dead(name: str) -> bool:
    """Whether it is proved that the process behind `str(origin)` is there no more.

    It is where its number is free in our own PID namespace. The number of a namespace is given to another one only
    once nothing lives in it: what was there is then dead as well.
    """
    found, ours = _NAME.fullmatch(name), here()
    if not found or not ours.boot or not ours.pids:
        return False
    if (found["boot"], found["pids"]) != (ours.boot, ours.pids) or int(found["pid"]) == ours.pid:
        return False
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def is_of_one_kernel(path: Path) -> bool:
    """Whether a file is on a filesystem that no other machine can have mounted."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
        device = os.stat(path).st_dev
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    fields = [line.split(" - ", 1) for line in mounts if line.split(" ")[2:3] == [wanted]]
    return bool(fields) and all(len(both) == 2 and both[1].split(" ")[0] in _OF_ONE_KERNEL for both in fields)
