"""A release has the product, its one version and what an operator needs, and no secret of the folder it is built in."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service import __version__
from tests.fakes.real_registry import require_registry
from tests.support import package
from tests.support.package import ROOT, SECRETS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "config/requirements.txt").read_text()
DOCKERFILE = (ROOT / "config/Dockerfile").read_text()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist built in a folder with secrets, and the wheel from that sdist."""
    return package.built(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def sdist(release: tuple[Path, Path]) -> set[str]:
    """The names in the sdist, without the folder that holds all of them."""
    with tarfile.open(release[0]) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


@pytest.fixture(scope="module")
def wheel(release: tuple[Path, Path]) -> set[str]:
    """The names in the wheel."""
    with zipfile.ZipFile(release[1]) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def programs(release: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which only the wheel is installed."""
    return package.environment_of(release[1], tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
@pytest.mark.slow
def test_no_secret_is_in_it(kind: str, request: pytest.FixtureRequest) -> None:
    names: set[str] = request.getfixturevalue(kind)
    assert not names & set(SECRETS)
    assert not [name for name in names if re.search(r"secrets/|\.env$|token$|password$", name)]


@pytest.mark.slow
def test_all_that_builds_and_runs_it_is_in_the_sdist(sdist: set[str]) -> None:
    needed = {
        *("pyproject.toml", "README.md", "LICENSE", "docker-compose.yml", "config/pushprune.yaml", "config/secrets.sh"),
        *("service/store/scripts/record.lua", "service/web/templates/layout.html", "workers/app.py"),
    }
    assert needed <= sdist


@pytest.mark.slow
def test_the_wheel_has_our_packages_and_every_file_of_config_but_those_that_build(wheel: set[str]) -> None:
    ours = {name.partition("/")[0] for name in wheel}
    assert ours == {"service", "workers", f"pushprune-{__version__}.dist-info"}
    files = (path for path in (ROOT / "config").rglob("*") if path.is_file())
    names = {str(path.relative_to(ROOT / "config")) for path in files}
    building = {"Dockerfile", "dist.sh", "test-packages.sh", "requirements.txt", "requirements-build.txt"}
    assert {name.removeprefix("service/examples/") for name in wheel if "/examples/" in name} == names - building


def run(programs: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    command = [str(programs / "pushprune"), *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
def test_the_installed_wheel_copies_the_examples_and_never_over_a_file(programs: Path, tmp_path: Path) -> None:
    copied = run(programs, tmp_path, "config", "examples", "examples")
    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "examples/nginx.conf").read_text() == (ROOT / "config/nginx.conf").read_text()
    assert run(programs, tmp_path, "config", "check", "examples/pushprune.yaml").returncode == 0
    refused = run(programs, tmp_path, "config", "examples", "examples")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("pushprune: examples exists: name a new folder")


def test_the_version_has_one_source() -> None:
    """Each of its users imports it: nothing else in the sources and in what packs them looks like it."""
    assert PROJECT["dynamic"] == ["version"]
    tracked = (*(ROOT / "service").rglob("*.py"), *(ROOT / "workers").rglob("*.py"), ROOT / "config/Dockerfile")
    files = {path.name for path in tracked if f'"{__version__}"' in path.read_text()}
    assert files == {"__init__.py"}
    assert 'image.version="${VERSION}"' in DOCKERFILE
    image = subprocess.run(["make", "-n", "image"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"--build-arg VERSION={__version__} --tag pushprune:{__version__} " in image
    assert "--platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max" in image


def test_the_changelog_has_a_section_for_this_version_or_for_what_comes() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    assert __version__ == "0.1.0" or headings[1].startswith(f"[{__version__}]")


def locked() -> dict[str, str]:
    """The packages that the image installs, with their versions."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))


def test_the_lock_satisfies_every_dependency_of_the_image() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["storage"], *extras["otel"]]
    for requirement in map(Requirement, wanted):
        assert locked()[canonicalize_name(requirement.name)] in requirement.specifier, "run `make lock`"


def test_the_image_installs_only_files_whose_hash_is_known() -> None:
    for entry in re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry
    for line in re.findall(r"pip .*install .*", DOCKERFILE):
        assert "--require-hashes -r requirements" in line or "--no-deps --no-index /dist/*.whl" in line


def test_every_variable_of_pip_is_an_argument_of_both_builds() -> None:
    arguments = set(re.findall(r"^ARG (PIP_\w+)$", DOCKERFILE, re.MULTILINE))
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prepare"]["build"]
    assert arguments == {name for name in compose["args"] if name.startswith("PIP_")}
    assert "PIP_CERT" in arguments
    assert "--mount=type=secret,id=pip_cert" in DOCKERFILE


def pythons() -> dict[str, str]:
    """The supported Pythons that this machine has; the name of a program may stand for nothing that starts."""
    paths = {version: shutil.which(f"python{version}") for version in ("3.11", "3.12", "3.13")}
    runs = (
        path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        for path in paths.values()
    )
    return {version: path for (version, path), starts in zip(paths.items(), runs, strict=True) if path and starts}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_supported_python_of_this_machine_compiles_the_sources_without_a_warning(version: str) -> None:
    python = pythons().get(version) or pytest.skip(f"this machine has no Python {version}")
    script = (
        "from pathlib import Path\n"
        "files = [*Path('service').rglob('*.py'), *Path('workers').rglob('*.py')]\n"
        "assert len([compile(file.read_bytes(), file, 'exec') for file in files]) > 300"
    )
    compiled = subprocess.run(
        [python, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert compiled.returncode == 0, compiled.stderr


@pytest.mark.deep
def test_a_release_is_built_and_plays_the_demo_in_a_fresh_environment(tmp_path: Path) -> None:
    """The release is installed as in the image: locked files, then the wheel; by the newest Python of this machine."""
    require_registry()
    checkout = package.checkout(tmp_path / "checkout")
    programs = Path(sys.executable).parent
    subprocess.run([str(checkout / "config/dist.sh"), str(programs)], check=True)
    made = {path.suffix: path for path in (checkout / "dist").iterdir()}
    sbom = json.loads(made[".json"].read_text())
    assert sbom["metadata"]["component"]["version"] == __version__
    assert locked().items() >= {(canonicalize_name(part["name"]), part["version"]) for part in sbom["components"]}
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=checkout / "dist", check=True)

    python = pythons()[max(pythons())]
    subprocess.run([python, "-m", "venv", "--without-pip", str(tmp_path / "fresh")], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "fresh/bin/python"), "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "config/requirements.txt")], check=True)
    subprocess.run([*pip, "--no-deps", str(made[".whl"])], check=True)
    ended = run(tmp_path / "fresh/bin", tmp_path, "demo", "--once")
    assert ended.returncode == 0, ended.stdout + ended.stderr
