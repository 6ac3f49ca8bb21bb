"""`--registry URL`: a registry that no service watches, pruned by one command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.oci import tombstone
from service.domain.policy.units import spell_count
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.registry import FakeRegistry
from tests.fakes.warm import run_verb


@pytest.fixture
def registry() -> Iterator[RealRegistry]:
    """Twelve images of shop/api, each made a day after the one before, `latest` on the oldest; one of shop/web."""
    require_registry()
    with RealRegistry() as registry, Pusher(registry.url) as pusher:
        for day in range(1, 13):
            pusher.push("shop/api", f"v{day}", make_image(f"v{day}", created=datetime(2026, 3, day, tzinfo=UTC)))
        pusher.push("shop/api", "latest", make_image("v1", created=datetime(2026, 3, 1, tzinfo=UTC)))
        pusher.push_image("shop/web", "v1")
        yield registry


def pushprune(*arguments: str) -> subprocess.CompletedProcess[str]:
    for _ in range(5):
        result = run_verb(*arguments, environment=os.environ, timeout_s=300)
        assert "Traceback" not in result.stderr
        # The Redis of the verb itself may stand still.
        if "Redis does not answer" not in result.stderr:
            break
    return result


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from service.cli.main import main; main()", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2])


def test_prune_does_what_is_shown_first_and_can_be_undone(registry: RealRegistry, tmp_path: Path) -> None:
    shown = pushprune("prune", "--registry", registry.url, "--keep-last", "10", "shop/*", "--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    going = {
        (preview["repository"], verdict["tag"])
        for preview in json.loads(shown.stdout)["repositories"]
        for verdict in preview["deletions"]
    }
    assert going == {("shop/api", "v1"), ("shop/api", "v2")}
    assert len(registry.tag_names("shop/api")) == 13, "a dry run deletes nothing"
    done = pushprune(
        "prune", "--registry", registry.url, "--keep-last", "10", "--yes", "--trash", str(tmp_path / "gone")
    )
    assert done.returncode == 0, done.stderr
    assert "deleted: 1 image with 1 tag, and 1 tag whose image is kept" in done.stdout
    undo = f"pushprune restore --registry {registry.url} --from {tmp_path / 'gone'}"
    assert undo in done.stdout
    assert registry.tag_names("shop/api") == {"latest", *(f"v{day}" for day in range(3, 13))}
    assert registry.tag_names("shop/web") == {"v1"}
    undone = pushprune(*undo.split()[1:])
    assert (undone.returncode, undone.stdout.splitlines()[-1]) == (0, "restored: 2"), undone.stderr
    assert len(registry.tag_names("shop/api")) == 13
    with Pusher(registry.url) as pusher:
        for tag in ("latest", "v1", "v2"):
            pusher.pull_whole("shop/api", tag)


def test_images_of_unknown_or_of_the_same_age_are_kept_and_counted(registry: RealRegistry, tmp_path: Path) -> None:
    with Pusher(registry.url) as pusher:
        for tag in "mzakc":
            pusher.push("undated", tag, make_image(tag, created=datetime(1970, 1, 1, tzinfo=UTC)))
            pusher.push("alike", tag, make_image(tag, created=datetime(2024, 5, 5, tzinfo=UTC)))
    prune = ("prune", "--registry", registry.url, "--keep-last", "2", "undated", "alike")
    shown = pushprune(*prune, "--yes")
    assert shown.returncode == 0, shown.stderr
    assert "5 without a usable creation date, 3 as old as the last image that the rule keeps" in shown.stdout
    assert registry.tag_names("undated") == registry.tag_names("alike") == set("mzakc")
    previews = {
        preview["repository"]: preview
        for preview in json.loads(pushprune(*prune, "--dry-run", "--json").stdout)["repositories"]
    }
    doubtful = {
        name: {v["tag"]: v["unknown_age"] for v in preview["of_unknown_age"]} for name, preview in previews.items()
    }
    assert doubtful == {"undated": dict.fromkeys("mzakc", "undated"), "alike": dict.fromkeys("kmz", "tied")}
    by_name = pushprune(*prune, "--yes", "--order", "name", "--trash", str(tmp_path / "gone"), "--json")
    messages = json.loads(by_name.stdout)
    deleted = sorted((row["repository"], *row["tags"]) for row in messages["deleted"])
    assert deleted == [(name, tag) for name in ("alike", "undated") for tag in "ack"]
    assert (messages["untagged"], messages["trash"]) == ([], str(tmp_path / "gone"))
    assert registry.tag_names("undated") == registry.tag_names("alike") == {"m", "z"}


def test_rm_takes_what_is_named_and_nothing_else(registry: RealRegistry, tmp_path: Path) -> None:
    exception = ("--all-but", "latest", "--all-but", "v1?")
    trash = ("--trash", str(tmp_path / "gone"))
    done = pushprune("rm", "--registry", registry.url, *exception, "shop/api", "--yes", *trash)
    assert done.returncode == 0, done.stderr
    assert f"deleted: 9; deleted images are saved in {tmp_path / 'gone'}; to restore them" in done.stdout
    assert registry.tag_names("shop/api") == {"latest", "v10", "v11", "v12"}
    assert registry.tag_names("shop/web") == {"v1"}
    undone = pushprune("restore", "--registry", registry.url, "--from", trash[1], "shop/api:v3")
    assert (undone.returncode, undone.stdout) == (0, "restored: shop/api:v3\nrestored: 1\n")
    assert registry.tag_names("shop/api") == {"latest", "v3", "v10", "v11", "v12"}
    with Pusher(registry.url) as pusher:
        for tag in ("latest", "v3"):
            pusher.pull_whole("shop/api", tag)


def test_an_image_that_was_not_deleted_is_not_promised_for_later(registry: RealRegistry, tmp_path: Path) -> None:
    registry.restart({"storage": {"delete": {"enabled": False}}})
    refused = pushprune("rm", "--registry", registry.url, "shop/web:v1", "--yes", "--trash", str(tmp_path))
    assert refused.returncode == 1
    assert "1 deletion left, fix this first: " in refused.stderr
    assert "has deletes disabled" in refused.stderr
    assert registry.tag_names("shop/web") == {"v1"}


def test_tags_that_a_registry_without_deletes_keeps_are_counted_and_its_setting_is_the_reason(
    registry: RealRegistry, tmp_path: Path
) -> None:
    registry.restart({"storage": {"delete": {"enabled": False}}})
    prune = ("prune", "--registry", registry.url, "--keep-last", "10", "--yes", "--trash", str(tmp_path))
    refused = pushprune(*prune)
    assert refused.returncode == 1
    assert refused.stdout.splitlines()[-2:] == ["deleted: 0 images with 0 tags", "not deleted: 2 tags"]
    assert "pushed again" not in refused.stdout
    assert "has deletes disabled" in refused.stderr


def test_nothing_is_deleted_unasked_or_unsaved(registry: RealRegistry, tmp_path: Path) -> None:
    refused = pushprune("prune", "--registry", registry.url, "--keep-last", "10")
    assert (refused.returncode, "add --yes to delete" in refused.stderr) == (2, True)
    full = ("--trash", str(tmp_path / "file" / "trash"))
    (tmp_path / "file").write_text("")
    unsaved = pushprune("prune", "--registry", registry.url, "--keep-last", "10", "--yes", *full)
    assert (unsaved.returncode, "cannot be saved in" in unsaved.stderr) == (1, True)
    typo = pushprune("prune", "--registry", registry.url, "--keep-last", "10", "shop/ipa", "--dry-run")
    assert (typo.returncode, "no repository shop/ipa is known" in typo.stderr) == (1, True)
    assert len(registry.tag_names("shop/api")) == 13


def test_a_registry_with_small_pages_of_its_catalog_is_seen_whole(registry: RealRegistry) -> None:
    registry.restart({"catalog": {"maxentries": 1}})
    repos = pushprune("repos", "--registry", registry.url, "--json")
    assert {row["repository"] for row in json.loads(repos.stdout)} == {"shop/api", "shop/web"}


def test_a_catalog_that_cannot_be_read_is_no_registry_without_anything_to_delete() -> None:
    with FakeRegistry() as fake:
        fake.push_image("shop/api", "v1")
        fake.fail_next("GET", "_catalog", status=403, times=None)
        result = pushprune("prune", "--registry", fake.url, "--keep-last", "1", "--yes")
        assert (result.returncode, result.stdout) == (1, "")
        assert "does not list its repositories" in result.stderr
        named = pushprune("prune", "--registry", fake.url, "--keep-last", "1", "--yes", "shop/api")
        assert (named.returncode, named.stdout) == (0, "nothing would be deleted\n"), named.stderr


def test_a_glob_deletes_in_no_repository_that_it_does_not_match(tmp_path: Path) -> None:
    with FakeRegistry("3") as registry:
        for repository in ("other/app", "shop/api", "shop/web", "single"):
            for day in range(1, 4):
                registry.push_image(repository, f"v{day}", at=datetime(2026, 1, day, tzinfo=UTC))
        prune = ("prune", "--registry", registry.url, "--keep-last", "1", "--yes", "--trash", str(tmp_path / "gone"))
        done = pushprune(*prune, "shop/*", "single")
        assert done.returncode == 0, done.stderr
        assert "deleted: 6 images with 6 tags\n" in done.stdout
        assert {name: len(registry.tags(name)) for name in ("other/app", "shop/api", "shop/web", "single")} == {
            "other/app": 3, "shop/api": 1, "shop/web": 1, "single": 1,
        }  # fmt: skip
        nothing = pushprune(*prune, "nope/*")
        assert (nothing.returncode, nothing.stdout) == (1, "")
        expected = f"pushprune: no repository nope/* is known; `pushprune repos --registry {registry.url}` lists them\n"
        assert nothing.stderr == expected


def test_tags_and_repositories_are_listed(registry: RealRegistry) -> None:
    repos = pushprune("repos", "--registry", registry.url, "--json")
    assert {row["repository"]: row["tags"] for row in json.loads(repos.stdout)} == {"shop/api": 13, "shop/web": 1}
    tag = pushprune("tags", "shop/web", "--registry", registry.url, "--platforms", "--json")
    (row,) = json.loads(tag.stdout)
    assert [row[key] for key in ("repository", "tag", "verdict", "platforms")] == [
        "shop/web", "v1", "keep", ["linux/amd64"],
    ]  # fmt: skip
    every = pushprune("tags", "shop/*:v1", "--registry", registry.url, "--json")
    assert [row["repository"] for row in json.loads(every.stdout)] == ["shop/api", "shop/web"]
    messages = pushprune("history", "shop/web:v1", "--registry", registry.url, "--intervals", "--json")
    assert [(row["action"], row["end_reason"]) for row in json.loads(messages.stdout)["history"]] == [("adopted", "")]
    nothing = pushprune("tags", "shop/nope", "--registry", registry.url)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    expected = f"pushprune: no repository shop/nope is known; `pushprune repos --registry {registry.url}` lists them\n"
    assert nothing.stderr == expected


def test_an_error_is_one_sentence() -> None:
    failure = pushprune("repos", "--registry", "http://127.0.0.1:1")
    assert failure.returncode == 1
    assert failure.stderr.startswith("pushprune: the registry at http://127.0.0.1:1 ")
    unsaid = pushprune("prune", "--registry", "http://127.0.0.1:1", "--yes")
    assert (unsaid.returncode, "--keep-last N, or --policy FILE" in unsaid.stderr) == (2, True)


@pytest.mark.parametrize(
    ("version", "count", "method", "sentence"),
    [("2.8", 250, "PUT", "and {} whose image is kept"), ("3", 60, "DELETE", "with {}\n")],
)
def test_ctrl_c_finishes_what_has_begun_and_says_what_was_deleted(
    tmp_path: Path, version: Any, count: int, method: str, sentence: str
) -> None:
    """2.8 first moves so many tags to a tombstone, which must not be left. Their images are not deleted then."""
    with FakeRegistry(version) as registry:
        for day in range(count):
            registry.push_image("shop/api", f"v{day}", at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day))
        registry.delay(method, "shop/api", seconds=0.02, times=None)
        prune = ("prune", "--registry", registry.url, "--keep-last", "1", "--yes", "--trash", str(tmp_path / "gone"))
        process = start(*prune)
        registry.before(method, "shop/api", lambda: process.send_signal(signal.SIGINT))
        out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (1, "\npushprune: interrupted\n")
        left = registry.tags("shop/api")
        deleted = count - len(left)
        assert 0 < deleted < count - 1
        assert tombstone.FIRST.digest not in left.values()
        assert sentence.format(spell_count(deleted, "tag")) in out
        undone = pushprune("restore", "--registry", registry.url, "--from", str(tmp_path / "gone"), "--json")
        assert undone.returncode == 0, undone.stderr
        assert len(registry.tags("shop/api")) == count


def test_ctrl_c_while_tags_are_deleted_by_name_rejects_the_others(tmp_path: Path) -> None:
    with FakeRegistry("3") as registry:
        for place in range(60):
            registry.push_image("shop/api", f"v{place}")
        registry.delay("DELETE", "shop/api", seconds=0.05, times=None)
        trash = ("--trash", str(tmp_path / "gone"))
        registry.before("DELETE", "shop/api", lambda: process.send_signal(signal.SIGINT))
        for _ in range(5):
            process = start("rm", "--registry", registry.url, "--all-but", "v0", "shop/api", "--yes", *trash)
            out, err = process.communicate(timeout=300)
            # The Redis of the verb itself may stand still.
            if "Redis does not answer" not in err:
                break
        assert "interrupted" in err
        deleted = 60 - len(registry.tags("shop/api"))
        assert 0 < deleted < 59
        assert f"deleted: {deleted}; " in out
        assert out.count(": the command was interrupted\n") == 59 - deleted
        message = f"pushprune: not deleted: {spell_count(59 - deleted, 'tag or manifest')}, as said above\n"
        assert (process.returncode, err) == (1, f"interrupted\n{message}")


def test_ctrl_c_while_nothing_is_deleted_yet_ends_at_once() -> None:
    with FakeRegistry() as registry:
        for place in range(200):
            registry.push_image("shop/api", f"v{place}")
        registry.delay("GET", "shop/api", seconds=0.2, times=None)
        process = start("prune", "--registry", registry.url, "--keep-last", "1", "--dry-run")
        registry.before("GET", "manifests", lambda: process.send_signal(signal.SIGINT))
        assert process.communicate(timeout=300) == ("", "\npushprune: interrupted\n")
        assert len([request for request in registry.requests if "manifests" in request.path]) < 100


def test_a_registry_that_hides_tags_keeps_its_images_and_that_is_reported(tmp_path: Path) -> None:
    """The reviewers' case, on Distribution 3.1.1 with S3: `rel2` is protected, and not listed."""
    with FakeRegistry("3.1.1", driver="s3") as registry:
        for tag, seed, day in (("rel", "old", 1), ("rel2", "old", 1), ("v1", "new", 2)):
            registry.push_image("shop/api", tag, seed=seed, at=datetime(2026, 1, day, tzinfo=UTC))
        prune = ("prune", "--registry", registry.url, "--keep-last", "1", "--yes")
        done = pushprune(*prune, "--trash", str(tmp_path / "gone"))
        assert done.returncode == 1
        assert "1 tag whose image is kept" in done.stdout
        assert done.stderr.startswith("pushprune: the registry leaves tags out of its listings")
        assert registry.tags("shop/api").keys() == {"rel2", "v1"}
        assert registry.tags("shop/api")["rel2"] in registry.manifests("shop/api")


def test_a_tag_that_is_still_listed_after_its_deletion_is_reported_at_the_end(tmp_path: Path) -> None:
    """Distribution 2.8 on object storage leaves `main` while `main-1` exists."""
    with FakeRegistry("2.8", driver="s3") as registry:
        for day, (repository, tag) in enumerate([("a", "main"), ("a", "main-1"), ("b", "v1"), ("b", "v2")], 1):
            registry.push_image(repository, tag, at=datetime(2026, 1, day, tzinfo=UTC))
        prune = ("prune", "--registry", registry.url, "--keep-last", "1", "--yes")
        done = pushprune(*prune, "--trash", str(tmp_path / "gone"))
        assert done.returncode == 1
        assert "deleted: 2 images with 2 tags" in done.stdout
        assert done.stderr.startswith(
            "pushprune: the registry still lists 1 deleted tag of a, which cannot be pulled (main)"
        )
        assert registry.tags("b").keys() == {"v2"}
