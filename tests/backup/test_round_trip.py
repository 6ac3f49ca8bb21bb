"""Export, an empty Redis, import: the API answers as before, and the safety rules hold."""

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.retention.plan import Plan
from service.prune import planning
from service.store.history import CommitResult
from service.web.app import create_app
from tests.backup.conftest import EMPTIED, HELD, REJECTED
from tests.fakes.pusher import Pusher
from tests.support.backup import content, forget_all, kinds
from tests.support.system import SHOP, System
from tests.support.verbs import Run
from workers.sweep import sweep

pytestmark = pytest.mark.slow

# Of the running system and of the present, not of the past.
_PRESENT = ("due", "oldest_s", "components", "workers", "queues", "troubles", "next_deletion_at")


def every_answer(system: System) -> dict[str, Any]:
    """The answers to every GET of the API, for every repository and tag."""
    http = create_app(system.wiring).test_client()
    documented: Any = http.get("/openapi.json").json
    answers: dict[str, Any] = {}
    for path, methods in documented["paths"].items():
        if not path.startswith("/api/v1/") or "get" not in methods:
            continue
        names = system.wiring.inventory.names() if "{repository}" in path else ("",)
        for name in names:
            for tag in system.store.history.tag_names(name) if "{tag}" in path else ("",):
                filled = path.replace("{repository}", name).replace("{tag}", tag)
                assert "{" not in filled
                response = http.get(filled, query_string={"q": "v"} if filled.endswith("/search") else {})
                assert response.status_code == 200, (filled, response.text)
                answers[filled] = past(response.json)
    return answers


def past(answer: Any) -> Any:
    """An answer without what it says of the present."""
    if isinstance(answer, list):
        return [past(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    now = datetime.now(UTC).isoformat()
    return {
        name: "by now" if name == "earliest_deletion" and value and value < now else past(value)
        for name, value in answer.items()
        if name not in _PRESENT
    }


def test_the_api_answers_as_before(lived: System, run: Run, tmp_path: Path) -> None:
    answers, everything, file = every_answer(lived), content(lived.wiring), str(tmp_path / "backup.jsonl.gz")
    assert len(answers) > 40
    code, out, err = run("export", file)
    assert (code, out) == (0, "")
    assert re.fullmatch(r"exported 4 repositories with \d+ entries in their histories \(\d+ lines\)\n", err)
    forget_all(lived.wiring)
    assert run("import", file) == (0, "", err.replace("exported", "imported"))
    assert every_answer(lived) == answers
    imported = content(lived.wiring)
    assert imported == everything
    assert {key.removesuffix(":R") for key, _, _ in imported} >= {
        "tags", "pulled", "leased", "restored", "trash", "deleted", "trashed", "hold", "held", "rejection", "history",
        "events", "pulls", "links", "layers", "revisions", "untagged", "sizes", "usage", "policy", "troubles",
        "gc:runs", "gc:logs",
    }  # fmt: skip


def test_a_backup_has_plain_lines_and_neither_secrets_nor_work(lived: System, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "backup.jsonl.gz"
    lived.deaf = True
    lived.push("v4")
    planning.enforce(lived.wiring, SHOP)
    assert run("export", str(file))[0] == 0
    assert file.stat().st_mode & 0o077 == 0
    text = gzip.decompress(file.read_bytes()).decode()
    assert lived.store.history.word() not in text
    first, *rows, last = map(json.loads, text.splitlines())
    assert (first["pushprune"], first["format"], first["schema"]) == ("backup", 1, 2)
    assert last["lines"] == len(rows)
    assert {row["key"] for row in rows} <= kinds()
    pruned = [row for row in rows if row["key"] == "history" and row["value"]["action"] == "pruned"]
    assert {row["value"]["tag"] for row in pruned} >= {"v2", "multi1"}
    assert all(row["value"]["digest"].startswith("sha256:") and row["value"]["rule"] == "last" for row in pruned)


def test_after_an_import_nothing_is_deleted_before_a_look_at_the_registry(
    lived: System, run: Run, tmp_path: Path
) -> None:
    file = str(tmp_path / "backup.jsonl")
    run("export", file)
    planned = lived.store.history.snapshot(SHOP)
    assert planned.compared
    run("import", file, "--replace", "--yes")
    # A worker that was paused commits a plan from before the import.
    assert lived.store.history.commit(planned, Plan(()), "none") is CommitResult.STALE
    for name in (SHOP, HELD, REJECTED, EMPTIED):
        assert not lived.store.history.snapshot(name).compared
        assert int(lived.store.history.generation(name)) > int(planned.generation)
    # While no process listened, a user gave another tag to an image that the next pushes doom.
    lived.deaf = True
    with Pusher(lived.registry.url) as user:
        user.retag(SHOP, "multi2", "prod")
    lived.deaf = False
    lived.push("v5", "v6", "v7")
    lived.later()
    assert lived.tags() >= {"prod", "v3", "v6", "v7"}
    assert lived.pull_whole("prod")
    lived.store.connection.client.delete(lived.store.connection.keys.of("lease", "walk"))
    sweep(lived.wiring)
    assert lived.store.reconcile_runs.requested()


def test_an_image_in_the_trash_can_be_restored_after_an_import(lived: System, run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.jsonl")
    run("export", file)
    forget_all(lived.wiring)
    run("import", file)
    restored = lived.wiring.restore.restore(SHOP, tag="multi1")
    assert restored.parts == 2
    assert lived.pull_whole("multi1") == restored.digest
    lived.later()
    assert "multi1" in lived.tags()
