"""Builds of the package from a folder with secrets, and an environment in which only the wheel is installed."""

import shutil
import site
import subprocess
import sys
import tarfile
import venv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECRETS = (
    *("secrets/admin_token", ".env", "pushprune-data/tokens/admin", "config.local/registry_password"),
    "config/kubernetes/example/secrets/admin_token",
)
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "tests", "secrets", "dist", "*-data")


def checkout(folder: Path) -> Path:
    """Copy this checkout to a new folder, and put secrets into it."""
    shutil.copytree(ROOT, folder, ignore=_NOT_COPIED)
    shutil.copy(ROOT / ".gitignore", folder)
    for name in SECRETS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("s3cret")
    return folder


@cache
def built(folder: Path) -> tuple[Path, Path]:
    """Build the sdist of a checkout with secrets, and the wheel from that sdist alone. Return both files."""
    _build("sdist", checkout(folder / "checkout"), folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    _build("wheel", unpacked, folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def environment_of(wheel: Path, folder: Path) -> Path:
    """Make an environment with the wheel and the packages of this one, but not our sources. Return its programs.

    The folders of packages are added by a .pth file, and such files in them are not read: that of our editable
    installation does not count.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return programs


def _build(kind: str, checkout: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
