"""The registry binary: the right program under that name, and where it comes from when the machine has none."""

import os
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.local import registry_binary
from service.local.registry_binary import find

SAYS_2 = "docker-registry github.com/docker/distribution 2.8.3+ds1"
SAYS_3 = "registry github.com/distribution/distribution/v3 v3.1.1"
NOTE = 'echo "$(basename "$0") $*" >> "$NOTES"\n'
REGISTRY_IN_PACKAGE = f'mkdir -p "$3/usr/bin"; printf \'#!/bin/sh\\necho {SAYS_2}\\n\' > "$3/usr/bin/docker-registry"'
UNPACKS = NOTE + REGISTRY_IN_PACKAGE + '; chmod 755 "$3/usr/bin/docker-registry"'
DOWNLOADS = NOTE + "for word; do last=$word; done; : > ${last}_2.8.3_amd64.deb"
KNOWS_NO_PACKAGES = (
    NOTE + 'if [ "$1" = download ]; then echo "E: Unable to locate package" >&2; exit 100; fi\n'
    'case "$*" in *update) ;; *) : > docker-registry_2.8.3_amd64.deb;; esac'
)
IS_OFFLINE = NOTE + 'echo "W: something" >&2; echo "E: Could not resolve deb.debian.org" >&2; exit 100'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, path: Path) -> dict[str, str]:
    """A machine with nothing but a shell; what is called leaves a line in NOTES."""
    for tool in ("mkdir", "chmod", "basename"):
        (path / tool).symlink_to(next(Path(d) / tool for d in os.get_exec_path() if (Path(d) / tool).exists()))
    return {"PATH": str(path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "NOTES": str(tmp_path / "notes")}


def program(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def notes(environ: dict[str, str]) -> list[str]:
    return Path(environ["NOTES"]).read_text().splitlines()


@pytest.mark.parametrize("name", ["registry", "docker-registry"])
@pytest.mark.parametrize("says", [SAYS_2, SAYS_3])
def test_the_registry_is_found_on_path_under_either_name(
    path: Path, environ: dict[str, str], name: str, says: str
) -> None:
    placed = program(path, name, f"echo '{says}'")
    assert find(environ) == placed


def test_another_program_called_registry_is_passed_over(path: Path, environ: dict[str, str]) -> None:
    program(path, "registry", "echo 'registry 1.0, edits the registry'")
    right = program(path, "docker-registry", f"echo '{SAYS_2}'")
    assert find(environ) == right


def test_the_one_named_in_the_environment_comes_first(tmp_path: Path, path: Path, environ: dict[str, str]) -> None:
    program(path, "registry", f"echo '{SAYS_2}'")
    named = program(tmp_path, "mine", f"echo '{SAYS_3}'")
    assert find(environ | {"PUSHPRUNE_REGISTRY_BIN": str(named)}) == named


@pytest.mark.parametrize("script", ["echo 'registry 1.0'", "exit 1", "kill -9 $$", "printf '\\377'"])
def test_a_named_program_that_is_no_registry_is_refused(tmp_path: Path, environ: dict[str, str], script: str) -> None:
    named = program(tmp_path, "mine", script)
    with pytest.raises(ConfigurationError, match=r"PUSHPRUNE_REGISTRY_BIN=.* is no `registry` binary of Distribution"):
        find(environ | {"PUSHPRUNE_REGISTRY_BIN": str(named)})


def test_a_named_program_that_does_not_exist_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="is no `registry` binary"):
        find(environ | {"PUSHPRUNE_REGISTRY_BIN": "/no/such/registry"})


def test_the_debian_package_is_fetched_into_the_cache_once(tmp_path: Path, path: Path, environ: dict[str, str]) -> None:
    program(path, "apt-get", DOWNLOADS)
    program(path, "dpkg-deb", UNPACKS)
    message: list[str] = []
    result = find(environ, message.append)
    assert result == tmp_path / "cache/pushprune/docker-registry/usr/bin/docker-registry"
    assert [note.split()[0:2] for note in notes(environ)] == [["apt-get", "download"], ["dpkg-deb", "-x"]]
    assert message == [f"downloading docker-registry (Debian package) to {tmp_path / 'cache/pushprune'}"]
    assert find(environ, message.append) == result
    assert len(notes(environ)) == 2
    assert [entry.name for entry in (tmp_path / "cache/pushprune").iterdir()] == ["docker-registry"]


def test_apt_without_package_lists_gets_lists_of_its_own(path: Path, environ: dict[str, str]) -> None:
    program(path, "apt-get", KNOWS_NO_PACKAGES)
    program(path, "dpkg-deb", UNPACKS)
    assert registry_binary.version(find(environ)) == SAYS_2
    first, update, download, _ = notes(environ)
    assert first == "apt-get download docker-registry"
    assert "-o Dir::State::lists=" in update
    assert update.endswith(" update")
    assert "-o Dir::State::lists=" in download
    assert download.endswith(" download docker-registry")


def test_a_fetch_that_fails_is_one_sentence_with_the_reason(path: Path, environ: dict[str, str]) -> None:
    program(path, "apt-get", IS_OFFLINE)
    program(path, "dpkg-deb", UNPACKS)
    with pytest.raises(ConfigurationError) as refusal:
        find(environ)
    assert "it could not be fetched (apt-get: E: Could not resolve deb.debian.org)" in str(refusal.value)
    assert "PUSHPRUNE_REGISTRY_BIN" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_program_that_does_not_run_here_is_not_used(path: Path, environ: dict[str, str]) -> None:
    program(path, "apt-get", DOWNLOADS)
    program(path, "dpkg-deb", NOTE + 'mkdir -p "$3/usr/bin"')
    with pytest.raises(ConfigurationError, match="does not run on this machine"):
        find(environ)


def test_elsewhere_one_sentence_says_what_to_install(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no registry binary found: install the package docker-registry"):
        find(environ)


def test_a_relative_cache_folder_is_ignored_as_the_specification_says() -> None:
    assert registry_binary.cache({"XDG_CACHE_HOME": "here"}) == Path.home() / ".cache" / "pushprune"
    assert registry_binary.cache({}) == Path.home() / ".cache" / "pushprune"
