"""Registries of version 1: `tags` and `rm` speak to them; every other verb says in one sentence why it does not."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from service.domain.errors import NoSuchRepository, RegistryTooOld
from service.registry.client import RegistryClient
from service.registry.v1 import RegistryV1
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_v1 import FakeRegistryV1
from tests.support.verbs import answer

pytestmark = pytest.mark.slow

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
HERE = ("--registry", "URL", "--v1")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistryV1]:
    """shop/api with three tags, two of them at one image; there is no service."""
    for name in ("CONFIG", "REDIS__URL", "REGISTRY__URL"):
        monkeypatch.delenv(f"PUSHPRUNE_{name}", raising=False)
    with FakeRegistryV1() as made:
        made.push("shop/api", v1=ONE, v2=TWO, latest=TWO)
        yield made


@pytest.fixture
def run(registry: FakeRegistryV1, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments) -> exit code, standard output, standard error; URL stands for the registry's."""
    return lambda *arguments: answer(capsys, *(registry.url if word == "URL" else word for word in arguments))


def test_tags_are_listed_with_their_images(run: Run) -> None:
    code, output, _ = run("tags", "shop/api", *HERE, "--json")
    assert code == 0
    assert json.loads(output) == [
        {"repository": "shop/api", "tag": "latest", "image": TWO, "also": ["v2"]},
        {"repository": "shop/api", "tag": "v1", "image": ONE, "also": []},
        {"repository": "shop/api", "tag": "v2", "image": TWO, "also": ["latest"]},
    ]
    code, output, _ = run("tags", "shop/api", *HERE)
    assert (code, [line.split() for line in output.splitlines()][1:]) == (
        0, [["latest", TWO[:12], "v2"], ["v1", ONE[:12]], ["v2", TWO[:12], "latest"]],
    )  # fmt: skip


def test_a_glob_means_some_of_them(run: Run, registry: FakeRegistryV1) -> None:
    _, output, _ = run("tags", "shop/api:v*", *HERE, "--json")
    assert [row["tag"] for row in json.loads(output)] == ["v1", "v2"]
    assert run("tags", "shop/api:x*", *HERE)[::2] == (
        1,
        f"pushprune: shop/api:x*: tag not found; `pushprune tags shop/api --registry {registry.url} --v1` lists them\n",
    )
    assert run("tags", "shop/*", *HERE)[::2] == (
        1, "pushprune: a registry of version 1 does not list its repositories: name each one\n",
    )  # fmt: skip


def test_version_1_is_recognised_without_an_option(run: Run, registry: FakeRegistryV1) -> None:
    assert run("tags", "shop/api", "--registry", "URL")[0] == 0
    assert registry.requests[:2] == [("GET", "/v2/"), ("GET", "/v1/_ping")]


def test_a_registry_of_version_2_is_not_taken_for_one() -> None:
    with FakeRegistry() as later:
        assert not RegistryV1(later.url).is_there()


def test_neither_is_one_that_speaks_both(run: Run, registry: FakeRegistryV1) -> None:
    registry.speaks_v2 = True
    assert not RegistryV1(registry.url).is_there()
    assert run("tags", "shop/api", *HERE)[0] == 0


def test_a_tag_may_be_called_error(run: Run, registry: FakeRegistryV1) -> None:
    registry.push("shop/api", error=ONE)
    assert run("rm", "shop/api:error", *HERE, "--yes")[0] == 0
    assert len(registry.tags("shop/api")) == 3


def test_the_configured_one_may_be_meant(run: Run, registry: FakeRegistryV1, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "pushprune: --v1 needs a registry: add --registry URL, or set registry.url\n"
    assert run("tags", "shop/api", "--v1")[::2] == (2, message)
    monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", registry.url)
    assert run("tags", "shop/api", "--v1")[0] == 0


def test_the_configured_login_is_used(run: Run, registry: FakeRegistryV1, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.login = ("alice", "secret")
    code, _, error = run("tags", "shop/api", *HERE)
    assert (code, "check registry.username, registry.password" in error) == (1, True)
    monkeypatch.setenv("PUSHPRUNE_REGISTRY__USERNAME", "alice")
    monkeypatch.setenv("PUSHPRUNE_REGISTRY__PASSWORD", "secret")
    assert run("tags", "shop/api", *HERE)[0] == 0


def test_a_repository_without_a_slash_lies_in_library(run: Run, registry: FakeRegistryV1) -> None:
    registry.push("library/base", v1=ONE, v2=TWO)
    assert len(json.loads(run("tags", "base", *HERE, "--json")[1])) == 2
    assert run("rm", "base:v1", *HERE, "--yes")[0] == 0
    assert registry.tags("library/base") == {"v2": TWO}


def test_rm_deletes_the_tag_and_says_how_to_restore_it(run: Run, registry: FakeRegistryV1) -> None:
    code, output, _ = run("rm", "shop/api:v2", *HERE, "--yes")
    assert (code, registry.tags("shop/api")) == (0, {"v1": ONE, "latest": TWO})
    assert "deleted: 1 tag" in output
    line = output.splitlines()[-1]
    assert TWO in output
    for written, meant in (("REPO", "shop/api"), ("/TAG", "/v2"), ("IMAGE", TWO)):
        line = line.replace(written, meant)
    subprocess.run(line, shell=True, check=True, capture_output=True, timeout=300)
    assert registry.tags("shop/api") == {"v1": ONE, "v2": TWO, "latest": TWO}


def test_rm_takes_globs_and_all_but(run: Run, registry: FakeRegistryV1) -> None:
    registry.push("shop/web", **{"pr-1": ONE, "pr-2": TWO, "latest": THREE})
    assert run("rm", "shop/web:pr-*", *HERE, "--yes")[0] == 0
    assert registry.tags("shop/web") == {"latest": THREE}
    assert run("rm", "--all-but", "latest", "shop/api", *HERE, "--yes")[0] == 0
    assert registry.tags("shop/api") == {"latest": TWO}
    assert run("rm", "--all-but", "latest", "shop/api", *HERE, "--yes")[:2] == (0, "nothing to delete\n")


def test_a_dry_run_deletes_nothing(run: Run, registry: FakeRegistryV1) -> None:
    code, output, _ = run("rm", "shop/api:v?", *HERE, "--dry-run", "--json")
    assert (code, [row["tag"] for row in json.loads(output)["deletions"]]) == (0, ["v1", "v2"])
    assert {method for method, _ in registry.requests} == {"GET"}


def test_no_question_is_asked_without_a_terminal(run: Run, registry: FakeRegistryV1) -> None:
    code, _, error = run("rm", "shop/api:v1", *HERE)
    assert (code, "add --yes to delete, or --dry-run" in error) == (2, True)
    assert len(registry.tags("shop/api")) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("shop/api:v1", "shop/api:v7"),
            "shop/api:v7: tag not found; `pushprune tags shop/api --registry URL --v1` lists them",
        ),
        (("shop/api:v1", "shop/none:v1"), "the registry at URL has no repository shop/none"),
        (("shop/*:v1",), "a registry of version 1 does not list its repositories: name each one"),
        ((f"shop/api@sha256:{ONE}",), "a registry of version 1 knows no digests: name a tag of shop/api"),
        (
            ("--all-but", "x", "shop/api"),
            "shop/api has no tag x, so all of its tags would be deleted: add --force if you want that",
        ),
    ],
)
def test_a_name_that_the_old_registry_does_not_know_is_refused_in_one_sentence(
    run: Run, registry: FakeRegistryV1, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, error = run("rm", *arguments, *HERE, "--yes")
    assert (code, error) == (1, f"pushprune: {sentence.replace('URL', registry.url)}\n")
    assert len(registry.tags("shop/api")) == 3


def test_a_tag_that_is_pushed_meanwhile_is_kept(run: Run, registry: FakeRegistryV1) -> None:
    pushes = iter(({"v2": THREE}, {}))
    registry.after_delete = lambda: registry.push("shop/api", **next(pushes))
    code, _, error = run("rm", "shop/api:v1", "shop/api:v2", *HERE, "--yes")
    assert (code, error) == (1, "pushprune: not deleted, as it was pushed meanwhile: shop/api:v2\n")
    assert registry.tags("shop/api") == {"v2": THREE, "latest": TWO}


@pytest.mark.parametrize(
    "words",
    [
        "repos", "history shop/api", "explain shop/api:v1", "prune --keep-last 10", "restore shop/api:v1",
    ],
)  # fmt: skip
def test_every_other_verb_says_why_it_does_not(run: Run, registry: FakeRegistryV1, words: str) -> None:
    yes = ("--yes",) if words.startswith("prune") else ()
    code, _, error = run(*words.split(), *yes, "--registry", "URL")
    assert (code, error) == (1, f"pushprune: {RegistryTooOld(f'the registry at {registry.url}')}\n")


def test_every_call_of_the_client_of_version_2_names_the_old_version(registry: FakeRegistryV1) -> None:
    client = RegistryClient(registry.url)
    for call in (client.ping, lambda: client.tags("shop/api"), lambda: list(client.repositories())):
        with pytest.raises(RegistryTooOld, match="is of version 1, which has no notifications"):
            call()


def test_a_404_that_is_not_its_own_is_no_answer(registry: FakeRegistryV1) -> None:
    client = RegistryV1(f"{registry.url}/elsewhere")
    for call in (lambda: client.tags("shop/api"), lambda: client.delete_tag("shop/api", "v1")):
        with pytest.raises(RegistryTooOld):
            call()
    with pytest.raises(NoSuchRepository):
        RegistryV1(registry.url).tags("shop/none")
