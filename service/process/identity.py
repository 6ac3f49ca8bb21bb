"""Identify processes across hosts and containers.

A pid or a kernel lock has a meaning only under the same kernel, and a pid only in the same PID namespace. Host names do
not help: containers may share the name of their host and use the same pids, and machines may have the same name.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")
_MOUNTS = Path("/proc/self/mountinfo")
_NAME = re.compile(r"(?P<host>\S+)/(?P<boot>[\w-]*)/(?P<pids>\d*)/(?P<pid>\d+)/(?P<nonce>[0-9a-f]+)")
# No other kernel can have one of these filesystems mounted at the same time.
_OF_ONE_KERNEL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs"})


def boot() -> str:
    """The boot id of the running kernel; "" if it cannot be read."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process.

    Attributes:
        host: the host name, for people.
        boot: the boot id of its kernel.
        pids: the inode of its PID namespace.
        pid: its number in that namespace.
        nonce: a random value that makes every name unique.
    """

    host: str
    boot: str
    pids: str
    pid: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pids}/{self.pid}/{self.nonce}"


def current() -> ProcessIdentity:
    """The identity of this process, with a new unique value at every call."""
    try:
        pids = str(_PIDS.stat().st_ino)
    except OSError:
        pids = ""
    return ProcessIdentity(socket.gethostname(), boot(), pids, os.getpid(), os.urandom(6).hex())


def is_dead(name: str) -> bool:
    """True if it is proved that the process with the name `str(identity)` is dead.

    The proof is that its pid is free in the PID namespace of this process.
    """
    match, ours = _NAME.fullmatch(name), current()
    if not match or not ours.boot or not ours.pids:
        return False
    # The inode of a namespace is reused only after its last process has ended, so a reused inode proves a death, too.
    if (match["boot"], match["pids"]) != (ours.boot, ours.pids) or int(match["pid"]) == ours.pid:
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        # Not permitted: a process with this pid exists.
        return False
    return False


def host_of(name: str) -> str:
    """The host in the name of a process; the whole name if it has another form."""
    match = _NAME.fullmatch(name)
    return match["host"] if match else name


def is_of_one_kernel(path: Path) -> bool:
    """True if a file is on a filesystem that no other machine can have mounted."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
        device = os.stat(path).st_dev
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    fields = [line.split(" - ", 1) for line in mounts if line.split(" ")[2:3] == [wanted]]
    return bool(fields) and all(len(both) == 2 and both[1].split(" ")[0] in _OF_ONE_KERNEL for both in fields)
