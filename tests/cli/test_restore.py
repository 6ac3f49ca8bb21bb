"""`pushprune trash` lists restorable images, `restore` restores them or says in one sentence why not."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import structlog

from service.clock import now_us
from service.domain.events import parse
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.local.environment import keep_environment
from service.prune import deleting, planning
from service.restore.trash_folder import TrashFolder
from tests.cli.conftest import Call, said
from tests.conftest import MakeWiring, keep_last
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.support.verbs import configure

Run = Callable[..., tuple[int, str]]
V1 = make_image("shop/api:v1").digest


@pytest.fixture
def registry(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """v1 has been deleted from shop/api for v2."""
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url, keep_last(1))
        for tag in ("v1", "v2"):
            registry.push_image("shop/api", tag)
        wiring.store.history.record(parse(json.dumps({"events": registry.events}).encode(), now_us()))
        monkeypatch.setattr("service.reconcile.compare.YOUNG_S", 0.0)
        planning.enforce(wiring, "shop/api")
        deleting.delete(wiring, "shop/api")
        assert registry.tags("shop/api").keys() == {"v2"}
        configure(monkeypatch, wiring, keep=1)
        yield registry


@pytest.fixture
def run(registry: FakeRegistry, call: Call) -> Run:
    """run(*arguments) -> exit code, standard output and standard error together."""
    return partial(said, call)


@pytest.mark.parametrize("where", [(), ("shop/api",), ("shop/*",)])
def test_trash_lists_what_was_deleted_why_and_until_when_it_can_come_back(run: Run, where: tuple[str, ...]) -> None:
    code, output = run("trash", *where)
    assert (code, "shop/api:v1" in output, "older than the newest (rule last)" in output) == (0, True, True)
    _, as_json = run("trash", *where, "--json")
    (row,) = json.loads(as_json)
    assert set(row) == {
        "repository", "tag", "digest", "pushed_at", "deleted_at", "restorable_until", "size_bytes", "reason",
    }  # fmt: skip
    assert (row["repository"], row["tag"], row["digest"]) == ("shop/api", "v1", V1)
    until, deleted_at = (datetime.fromisoformat(row[name]) for name in ("restorable_until", "deleted_at"))
    assert until - deleted_at == timedelta(days=30)


def test_the_trash_names_what_had_no_tag_as_restore_takes_it(
    run: Run, registry: FakeRegistry, make_wiring: MakeWiring
) -> None:
    wiring = make_wiring(registry.url, keep_last(1))
    index = make_index("multi")
    part = index.children[0].digest
    registry.push("shop/web", "m1", index)
    registry.push_image("shop/web", "m2")
    wiring.store.history.record(parse(json.dumps({"events": registry.events}).encode(), now_us()))
    lonely = Doomed(part, (Verdict(Tag("", part, 1), False, "nobody holds it"),))
    snapshot = wiring.store.history.snapshot("shop/web")
    assert wiring.store.history.commit(snapshot, Plan(doomed=(lonely,)), "doomed")
    wiring.store.trash.save(snapshot, lonely, (index.children[0].media_type, index.children[0].manifest))
    wiring.store.deletions.forget(snapshot, lonely)
    assert f"shop/web@{part}" in run("trash", "shop/web")[1].replace("\n", "")


def test_explain_says_how_a_deleted_tag_is_restored(run: Run, registry: FakeRegistry, make_wiring: MakeWiring) -> None:
    assert run("explain", "shop/api:v1")[1].endswith(
        "older than the newest (rule last); `pushprune restore shop/api:v1` restores it\n"
    )
    assert make_wiring(registry.url, keep_last(1)).store.trash.collected() == 1
    assert "restores it" not in run("explain", "shop/api:v1")[1]


@pytest.mark.parametrize("name", ["shop/api:v1", f"shop/api@{V1}"])
def test_restore_restores_the_image_and_says_how_long_it_is_protected(
    run: Run, registry: FakeRegistry, name: str
) -> None:
    code, output = run("restore", name)
    assert (code, output.startswith("restored: shop/api:v1  sha256:")) == (0, True)
    assert "no policy deletes it before " in output
    assert structlog.get_config()["wrapper_class"] is structlog.make_filtering_bound_logger(logging.WARNING)
    assert registry.tags("shop/api")["v1"] == V1
    assert run("trash", "shop/api") == (0, "nothing can be restored in shop/api\n")


def test_restore_under_another_name_and_without_a_lease(run: Run, registry: FakeRegistry) -> None:
    code, output = run("restore", "shop/api:v1", "--as", "rescued", "--for", "0", "--json")
    assert code == 0
    (result,) = json.loads(output)["results"]
    assert (result["status"], result["restored"]["tags"]) == ("restored", ["rescued"])
    assert result["restored"]["kept_until"] is None
    assert registry.tags("shop/api").keys() == {"v2", "rescued"}


def test_each_of_many_images_that_can_be_restored_is_restored(run: Run, registry: FakeRegistry) -> None:
    names = ("shop/api:v7", "shop/api:v1")
    code, output = run("restore", *names, "--dry-run")
    assert (code, "shop/api:v1: can be restored as v1" in output, "v1" in registry.tags("shop/api")) == (1, True, False)
    code, output = run("restore", *names)
    assert (code, "shop/api:v7: shop/api:v7 was not deleted" in output) == (1, True)
    assert "not restored: 1 image, as said above" in output
    assert registry.tags("shop/api")["v1"] == V1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("shop/api",), "a tag or a digest is missing: write shop/api:TAG or shop/api@DIGEST"),
        (
            ("shop/api@sha256:12",),
            "write shop/api:TAG, or shop/api@ and a digest as --json prints it, whole: sha256:ab12…",
        ),
        (
            ("shop/api:v7",),
            "shop/api:v7 was not deleted by pushprune; `pushprune trash shop/api` lists what can be restored",
        ),
        (("shop/api:v1", "--as", "a b"), "'a b' can be no tag: write one such as v1"),
        (("shop/none:v1",), "no repository shop/none is known; `pushprune repos` lists them"),
    ],
)
def test_an_impossible_restore_is_refused_in_one_sentence(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    code = 2 if sentence.startswith(("a tag", "write")) or "can be no tag" in sentence else 1
    assert run("restore", *arguments) == (code, f"pushprune: {sentence}\n")


def test_a_duration_without_a_unit_is_asked_back(run: Run) -> None:
    code, output = run("restore", "shop/api:v1", "--for", "7")
    assert (code, "the unit of 7 is missing" in output) == (2, True)


def test_trash_of_a_tag_is_asked_for_by_its_repository(run: Run) -> None:
    assert run("trash", "shop/api:v1") == (2, "pushprune: name a repository, not a tag: write shop/api\n")


@pytest.mark.parametrize(
    ("host", "recorded"), [("", True), ("127.0.0.1", True), ("localhost", False)], ids=["settings", "same", "another"]
)
def test_a_restore_from_a_folder_is_recorded_for_the_service_that_watches_this_registry(
    run: Run, registry: FakeRegistry, make_wiring: MakeWiring, tmp_path: Path, host: str, recorded: bool
) -> None:
    image = make_image("shop/api:v1")
    doomed = Doomed(V1, (Verdict(Tag("v1", V1, 1), False, "old"),))
    TrashFolder(tmp_path).save("shop/api", doomed, (image.media_type, image.manifest))
    named = ("--registry", registry.url.replace("127.0.0.1", host)) if host else ()
    code, output = run("restore", "--from", str(tmp_path), *named)
    assert (code, "restored: shop/api:v1" in output) == (0, True)
    assert ("takes restored tags for new pushes" in output) is not recorded
    actions = {entry.action for entry in make_wiring(registry.url).store.history.entries("shop/api")}
    assert ("restored" in actions) is recorded


def test_a_data_directory_whose_system_has_ended_stops_no_restore_from_a_folder(
    run: Run, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("shop/api:v1")
    TrashFolder(tmp_path / "gone").save(
        "shop/api", Doomed(V1, (Verdict(Tag("v1", V1, 1), False, "old"),)), (image.media_type, image.manifest)
    )
    data = tmp_path / "data"
    data.mkdir()
    keep_environment(data, {"PUSHPRUNE_REDIS__URL": "redis://127.0.0.1:1/0", "PUSHPRUNE_REGISTRY__URL": registry.url})
    monkeypatch.delenv("PUSHPRUNE_REDIS__URL")
    monkeypatch.setenv("PUSHPRUNE_DATA_DIR", str(data))
    code, output = run("restore", "--registry", registry.url, "--from", str(tmp_path / "gone"))
    assert (code, "restored: shop/api:v1" in output) == (0, True), output
    assert "takes restored tags for new pushes" in output
    assert run("restore", "--from", str(tmp_path / "gone"), "--data", str(data))[0] == 1
