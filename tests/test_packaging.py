"""A package built from a folder in which a set-up runs carries the product, its one version, and no secret."""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from service import __version__

ROOT = Path(__file__).parents[1]
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "tests", "secrets", "dist", "*-data")
_SECRETS = ("secrets/admin_token", ".env", "pushprune-data/tokens/admin", "config.local/registry_password")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in an sdist of a checkout with secrets in it, without the folder that holds all of them."""
    folder = tmp_path_factory.mktemp("build") / "checkout"
    shutil.copytree(ROOT, folder, ignore=_NOT_COPIED)
    shutil.copy(ROOT / ".gitignore", folder)
    for name in _SECRETS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("s3cret")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder.parent)]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (archive,) = folder.parent.glob("*.tar.gz")
    assert archive.name == f"pushprune-{__version__}.tar.gz"
    with tarfile.open(archive) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


def test_no_secret_is_in_it(sdist: set[str]) -> None:
    assert not sdist & set(_SECRETS)
    assert not [name for name in sdist if re.search(r"secrets/|\.env$|token$|password$", name)]


def test_all_that_builds_and_runs_it_is_in_it(sdist: set[str]) -> None:
    needed = {
        *("pyproject.toml", "README.md", "LICENSE", "docker-compose.yml", "config/pushprune.yaml", "config/secrets.sh"),
        *("service/store/scripts/record.lua", "service/web/templates/layout.html", "workers/app.py"),
    }
    assert needed <= sdist


def test_git_does_not_see_secrets_either() -> None:
    assert {"secrets/", ".env"} <= set((ROOT / ".gitignore").read_text().splitlines())
