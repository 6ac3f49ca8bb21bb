"""`pushprune rm`: the names it takes, its question, its refusals, and the deleted tags."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import structlog

from service.clock import now_us
from service.domain.errors import RegistryRefused
from service.domain.events import parse
from service.log import log
from service.prune import deleting, planning
from service.store import Store
from service.wiring import Wiring
from tests.cli.conftest import Call
from tests.conftest import MakeWiring, keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.registry import FakeRegistry
from tests.support.verbs import configure
from workers import tasks

pytestmark = pytest.mark.slow

SHOP, WEB = "shop/api", "shop/web"
TAGS = {SHOP: ("v1", "v2", "pr-1", "pr-2", "latest"), WEB: ("v1", "pr-3")}


@dataclass
class Shop:
    """A registry, the history of it, and a worker that works whenever a command waits."""

    registry: FakeRegistry
    wiring: Wiring
    has_worker: bool = True
    meanwhile: Callable[[], object] = lambda: None
    waited: list[float] = field(default_factory=list)

    def hear(self) -> None:
        events = json.dumps({"events": self.registry.events}).encode()
        self.wiring.store.history.record(parse(events, now_us()))

    def work(self, wait_s: float = 0) -> None:
        self.waited.append(wait_s)
        assert len(self.waited) < 100, "it waits for ever"
        self.meanwhile()
        if self.has_worker:
            self.wiring.store.outbox.sign_of_life("worker")
            for repository in self.wiring.store.history.repositories():
                tasks.attempt(self.wiring, "due", repository, planning.enforce)
                tasks.attempt(self.wiring, "doomed", repository, deleting.delete)

    def tags(self, repository: str = SHOP) -> set[str]:
        return set(self.registry.tags(repository))

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


@pytest.fixture
def shop(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Two repositories of which the policy keeps everything; latest is v2."""
    with FakeRegistry() as registry:
        made = Shop(registry, make_wiring(registry.url, keep_last(100)))
        for repository, tags in TAGS.items():
            for tag in tags:
                registry.push_image(repository, tag, seed=f"{repository}:{'v2' if tag == 'latest' else tag}")
        made.hear()
        made.wiring.store.outbox.sign_of_life("worker")
        monkeypatch.setattr("service.reconcile.compare.YOUNG_S", 0.0)
        monkeypatch.setattr(log, "bind", lambda **_: structlog.ReturnLogger())  # the worker's, which is not the verb's
        monkeypatch.setattr("service.cli.rm.time.sleep", made.work)
        configure(monkeypatch, made.wiring, keep=100)
        monkeypatch.setattr("getpass.getuser", lambda: "alice")
        yield made


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(shop: Shop, call: Call) -> Run:
    """run(*arguments) -> exit code, standard output, standard error"""
    return partial(call, "rm")


def on_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    """A user who gives this answer; the questions are noted."""
    asked: list[str] = []

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return f"{answer}\n"

    def prompt(text: str) -> str:
        asked.append(text)
        return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("click.termui.visible_prompt_func", prompt)
    return asked


def test_a_tag_is_deleted_and_the_history_says_who_did_it(run: Run, shop: Shop) -> None:
    code, output, _ = run(f"{SHOP}:v1", "--yes")
    assert code == 0
    assert "1 tag, 1 image" in output
    assert "deleted: 1; `pushprune trash` lists what can be restored" in output
    assert shop.tags() == {"v2", "pr-1", "pr-2", "latest"}
    entry = next(item for item in shop.store.history.entries(SHOP) if item.action == "pruned")
    assert (entry.tag, entry.actor, entry.reason) == ("v1", "alice", "deleted manually by alice")


def test_explain_names_the_user_of_a_manual_deletion_once(run: Run, shop: Shop, call: Call) -> None:
    run(f"{SHOP}:v1", "--yes")
    _, _, error = call("explain", f"{SHOP}:v1")
    assert (error.count("alice"), ": deleted manually by alice; `pushprune restore" in error) == (1, True)


def test_globs_mean_what_they_mean_in_a_policy(run: Run, shop: Shop) -> None:
    assert run("shop/*:pr-*", f"{SHOP}:v1", "--yes")[0] == 0
    assert (shop.tags(), shop.tags(WEB)) == ({"v2", "latest"}, {"v1"})


def test_rm_all_but_one_tag_deletes_all_others_of_the_repository(run: Run, shop: Shop) -> None:
    assert run("--all-but", "latest", SHOP, "--yes")[0] == 0
    assert (shop.tags(), len(shop.registry.manifests(SHOP))) == ({"latest"}, 1)
    assert shop.tags(WEB) == {"v1", "pr-3"}


def test_all_but_what_is_not_there_is_refused(run: Run, shop: Shop) -> None:
    code, _, error = run("--all-but", "lates", SHOP, "--yes")
    message = f"pushprune: {SHOP} has no tag lates, so all of its tags would be deleted: add --force if you want that\n"
    assert (code, error) == (1, message)
    assert run("--all-but", "lates", SHOP, "--yes", "--force")[0] == 0
    assert shop.tags() == set()


def test_unreported_tags_are_found_at_the_registry(run: Run, shop: Shop) -> None:
    shop.registry.push_index(SHOP, "pr-9")
    code, output, _ = run(f"{SHOP}:pr-*", "--dry-run", "--json")
    assert {row["tag"] for row in json.loads(output)["deletions"]} == {"pr-1", "pr-2", "pr-9"}
    assert {tag.name for tag in shop.store.history.live(SHOP)} == set(TAGS[SHOP])
    code, _, _ = run(f"{SHOP}:pr-*", "--yes")
    assert (code, shop.tags()) == (0, {"v1", "v2", "latest"})
    shop.work()
    assert len(shop.registry.manifests(SHOP)) == 2


def test_a_dry_run_shows_what_would_be_deleted_and_changes_nothing(run: Run, shop: Shop) -> None:
    before = shop.store.history.snapshot(SHOP)
    code, output, _ = run(f"{SHOP}:v?", "--dry-run")
    assert (code, "2 tags, 1 image" in output) == (0, True)
    assert shop.store.history.is_current(before)
    _, output, _ = run(f"{SHOP}:v?", "--dry-run", "--json")
    rows = {row["tag"]: row for row in json.loads(output)["deletions"]}
    assert (rows["v2"]["kept_as"], rows["v1"]["kept_as"]) == ("latest", None)
    assert (rows["v1"]["repository"], rows["v1"]["digest"]) == (SHOP, shop.registry.tags(SHOP)["v1"])


@pytest.mark.parametrize("arguments", [(f"{SHOP}:v1",), (f"{SHOP}:v1", "--json")])
def test_without_a_terminal_the_answer_must_be_an_option(run: Run, shop: Shop, arguments: tuple[str, ...]) -> None:
    code, _, error = run(*arguments)
    assert (code, "add --yes to delete, or --dry-run to preview" in error) == (2, True)
    assert shop.tags() == set(TAGS[SHOP])


@pytest.mark.parametrize(("answer", "left"), [("y", {"v2", "pr-1", "pr-2", "latest"}), ("n", set(TAGS[SHOP]))])
def test_rm_asks_on_a_terminal_before_it_deletes(
    run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, left: set[str]
) -> None:
    asked = on_terminal(monkeypatch, answer)
    code, output, _ = run(f"{SHOP}:v1")
    assert "1 tag, 1 image" in output
    assert (len(asked), code, shop.tags()) == (1, 0 if answer == "y" else 1, left)


def test_json_lists_the_deleted_tags(run: Run, shop: Shop) -> None:
    code, output, _ = run(f"{SHOP}:pr-*", "--yes", "--json")
    message = json.loads(output)
    assert (code, {row["tag"] for row in message["deletions"]}, message["kept"]) == (0, {"pr-1", "pr-2"}, [])


def test_the_refusal_of_a_protected_image_says_until_when(run: Run, shop: Shop) -> None:
    client: Any = shop.store.connection.client
    leased = shop.store.connection.keys.of("leased", SHOP)
    client.zadd(leased, {make_image(f"{SHOP}:v1").digest: 4_102_444_800_000})
    code, _, error = run(f"{SHOP}:v1", "--yes")
    assert (code, error) == (
        1,
        f"pushprune: {SHOP}:v1 is kept: protected by a user, until 2100-01-01 00:00:00 UTC\n",
    )
    _, output, _ = run(f"{SHOP}:v*", "--dry-run")
    assert f"kept: {SHOP}:v1: protected by a user, until 2100-01-01 " in output
    assert shop.tags() == set(TAGS[SHOP])


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("shop/none:v1", 1, "no repository shop/none is known; `pushprune repos` lists them"),
        ("none/*:v1", 1, "no repository none/* is known; `pushprune repos` lists them"),
        (f"{SHOP}:v7", 1, f"{SHOP}:v7: tag not found; `pushprune tags {SHOP}` lists them"),
        (f"{SHOP}:x*", 1, f"{SHOP}:x*: tag not found; `pushprune tags {SHOP}` lists them"),
        (SHOP, 2, f"a tag or a digest is missing: write {SHOP}:TAG or {SHOP}@DIGEST"),
        (f"{SHOP}@sha256:12", 2, f"write {SHOP}:TAG, or {SHOP}@ and a digest as --json prints it, whole: sha256:ab12…"),
        (f"{SHOP}@{make_image('nowhere').digest}", 1, f"{SHOP}@{make_image('nowhere').digest}: manifest not found"),
        (f"shop/*@{make_image('x').digest}", 2, "a digest belongs to one repository: write REPO@sha256:"),
        (f"{SHOP}:!v1", 2, "'!v1' begins with !, which means nothing here: name what is meant"),
        (f"127.0.0.1:5000/{SHOP}:v1", 2, f"name it without the registry's address: {SHOP}:v1"),
        (f"http://127.0.0.1:5000/{SHOP}:v1", 2, f"name it without the registry's address: {SHOP}:v1"),
        ("shop/*:x*", 1, "shop/*:x*: tag not found; `pushprune tags 'shop/*'` lists them"),
    ],
)
def test_a_name_without_a_meaning_is_refused_in_one_sentence_and_nothing_is_deleted(
    run: Run, shop: Shop, name: str, code: int, sentence: str
) -> None:
    got, _, error = run(f"{SHOP}:v1" if code == 1 else name, name, "--yes")
    assert (got, error.startswith(f"pushprune: {sentence}"), error.count("\n")) == (code, True, 1)
    assert shop.tags() == set(TAGS[SHOP])


def policy_in_force(shop: Shop, monkeypatch: pytest.MonkeyPatch, **message: Any) -> None:
    policy = keep_last(100, **message)
    monkeypatch.setenv("PUSHPRUNE_POLICY", policy.model_dump_json(exclude_none=True))
    monkeypatch.setattr(shop.wiring.policies, "current", lambda: policy)


def test_a_protected_tag_is_refused_by_name_and_left_out_of_a_glob(
    run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy_in_force(shop, monkeypatch, protect=["v1"])
    code, _, error = run(f"{SHOP}:v1", "--yes")
    message = f"pushprune: {SHOP}:v1 is kept: protected by the policy; --force deletes it anyway\n"
    assert (code, error) == (1, message)
    code, output, _ = run("--all-but", "latest", SHOP, "--yes")
    assert (code, f"kept: {SHOP}:v1: protected by the policy" in output) == (0, True)
    assert shop.tags() == {"v1", "latest"}
    assert run(f"{SHOP}:v1", "--yes", "--force")[0] == 0
    assert shop.tags() == {"latest"}


def test_without_a_worker_rm_says_so_and_a_later_worker_deletes_the_tag(
    run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.rm._NO_WORKER_S", 1)
    shop.has_worker = False
    shop.store.connection.client.delete(shop.store.connection.keys.of("workers"))
    code, _, error = run(f"{SHOP}:v1", "--yes")
    message = "no worker is running: the deletion happens once you start one\n"
    assert (code, error, len(shop.waited)) == (1, f"waiting: {message}pushprune: {message}", 10)
    shop.has_worker = True
    shop.work()
    assert "v1" not in shop.tags()


def test_a_worker_that_is_restarted_is_waited_for(run: Run, shop: Shop) -> None:
    shop.has_worker = False
    shop.store.connection.client.delete(shop.store.connection.keys.of("workers"))

    def start() -> None:
        shop.has_worker = len(shop.waited) > 3

    shop.meanwhile = start
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    assert "v1" not in shop.tags()


def test_no_wait_ends_before_the_deletion(run: Run, shop: Shop) -> None:
    code, output, _ = run(f"{SHOP}:v1", "--yes", "--no-wait")
    assert (code, "requested: 1 deletion" in output, shop.waited) == (0, True, [])
    shop.work()
    assert "v1" not in shop.tags()


def test_a_problem_that_must_be_fixed_first_is_reported(run: Run, shop: Shop) -> None:
    shop.registry.delete_enabled = False
    code, _, error = run(f"{SHOP}:v1", "--yes")
    assert (code, "1 deletion left, continued automatically once this is fixed" in error) == (1, True)
    assert "storage: delete: enabled: true" in error
    shop.registry.delete_enabled = True
    client: Any = shop.store.connection.client
    client.delete(shop.store.connection.keys.of("attempts"))
    shop.work()
    assert "v1" not in shop.tags()


def test_an_old_trouble_is_not_taken_for_its_own(run: Run, shop: Shop) -> None:
    tasks._back_off(shop.store, "due", SHOP, RegistryRefused("what was wrong before"))
    client: Any = shop.store.connection.client
    client.delete(shop.store.connection.keys.of("attempts"))
    assert run(f"{SHOP}:v1", "--yes")[0] == 0


def test_rm_says_that_it_waits_for_a_collection(run: Run, shop: Shop) -> None:
    shop.store.gate.drain("gc", 1, "by hand")
    shop.store.gate.close("gc")
    shop.meanwhile = lambda: len(shop.waited) > 2 and shop.store.gate.open("gc")
    code, _, error = run(f"{SHOP}:v1", "--yes")
    assert (code, error.count("waiting: a garbage collection is running")) == (0, 1)
    assert "v1" not in shop.tags()


def test_a_tag_that_is_pushed_meanwhile_is_kept_and_the_output_says_so(run: Run, shop: Shop) -> None:
    def push() -> None:
        shop.meanwhile = lambda: None
        shop.registry.push_image(SHOP, "v1", seed="newer")
        shop.hear()

    shop.meanwhile = push
    code, output, error = run(f"{SHOP}:v1", f"{SHOP}:pr-1", "--yes")
    assert code == 1
    assert f"kept: {SHOP}:v1: it was pushed meanwhile" in output
    assert "not deleted: 1 tag or manifest" in error
    assert shop.tags() == {"v1", "v2", "pr-2", "latest"}


def test_nothing_that_matches_is_nothing_to_do(run: Run, shop: Shop) -> None:
    code, output, _ = run("--all-but", "*", SHOP, "--yes")
    assert (code, output) == (0, "nothing to delete\n")


def test_a_user_can_delete_an_image_that_was_restored(shop: Shop, run: Run) -> None:
    """Restoring keeps it from the policy, and not from the user who then deletes it."""
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    shop.wiring.restore.restore(SHOP, tag="v1")
    assert shop.store.history.snapshot(SHOP).restored
    code, output, error = run("--all-but", "latest", SHOP, "--yes")
    assert (code, shop.tags(), error) == (0, {"latest"}, ""), output
    assert shop.store.history.snapshot(SHOP).restored == {}


def test_a_lease_of_another_user_holds_what_was_restored(shop: Shop, run: Run) -> None:
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    shop.wiring.restore.restore(SHOP, tag="v1")
    client: Any = shop.store.connection.client
    digest = make_image(f"{SHOP}:v1").digest
    client.zadd(shop.store.connection.keys.of("leased", SHOP), {digest: 4_102_444_800_000})
    code, _, error = run(f"{SHOP}:v1", "--yes")
    assert (code, "protected by a user" in error) == (1, True)
    assert "v1" in shop.tags()


def test_the_restored_tag_of_a_part_is_still_kept_when_its_index_is_to_be_deleted(shop: Shop, run: Run) -> None:
    """The user did not name the tag of the part, so the policy must not delete it because of the index."""
    part = make_image(f"{SHOP}:v1")
    shop.registry.push(SHOP, "index", index_over([part, make_image("other")]))
    shop.hear()
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    shop.wiring.restore.restore(SHOP, tag="v1")
    code, _, error = run(f"{SHOP}:index", "--yes")
    assert part.digest in shop.store.history.snapshot(SHOP).restored
    assert (code, "index is kept: a part of it is protected for a while after a restore, until" in error) == (
        1,
        True,
    )
    assert {"v1", "index"} <= shop.tags()
    assert run(f"{SHOP}:index", f"{SHOP}:v1", "--yes")[0] == 0
    assert shop.tags().isdisjoint({"v1", "index"})


def test_a_part_that_a_user_deletes_no_longer_keeps_its_index_by_its_restore(shop: Shop, run: Run) -> None:
    part = make_image(f"{SHOP}:v1")
    shop.registry.push(SHOP, "index", index_over([part, make_image("other")]))
    shop.hear()
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    shop.wiring.restore.restore(SHOP, tag="v1")
    assert run(f"{SHOP}:v1", "--yes")[0] == 0
    assert part.digest in shop.registry.manifests(SHOP), "it is a part of the index"
    assert shop.store.history.snapshot(SHOP).restored == {}


def test_the_other_tag_of_a_restored_image_is_still_kept(shop: Shop, run: Run) -> None:
    """latest and v2 are one image: deleting one of its tags says nothing about the other."""
    assert run(f"{SHOP}:v2", f"{SHOP}:latest", "--yes")[0] == 0
    shop.wiring.restore.restore(SHOP, tag="v2")
    shop.wiring.restore.restore(SHOP, tag="latest")
    run(f"{SHOP}:v2", "--yes")
    assert "latest" in shop.tags()
    assert make_image(f"{SHOP}:v2").digest in shop.store.history.snapshot(SHOP).restored
