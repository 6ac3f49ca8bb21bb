"""A client that openapi-python-client generates from our document does the main tasks of an operator."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.support.edge import Edge

pytestmark = pytest.mark.slow

PACKAGE = "generated_pushprune_client"
GENERATOR = str(Path(sys.executable).with_name("openapi-python-client"))


@pytest.fixture
def generated(pruned: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package of the client. The generator must have no complaint about the document."""
    (tmp_path / "openapi.json").write_text(json.dumps(pruned.http.get("/openapi.json").json))
    (tmp_path / "config.yml").write_text("post_hooks: []")
    command = [GENERATOR, "generate", "--meta", "none", "--fail-on-warning", "--path", "openapi.json"]
    subprocess.run(
        [*command, "--config", "config.yml", "--output-path", PACKAGE], cwd=tmp_path, check=True, capture_output=True
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_the_main_tasks_are_done_by_a_generated_client(pruned: Edge, generated: ModuleType) -> None:
    web = httpx.WSGITransport(pruned.http.application)
    client = generated.AuthenticatedClient("http://localhost", "any token", httpx_args={"transport": web})
    models = importlib.import_module(f"{PACKAGE}.models")

    def call(name: str, *path: str, **arguments: Any) -> Any:
        operation = importlib.import_module(f"{PACKAGE}.api.{name}")
        return operation.sync(*path, client=client, **arguments)

    assert [row.repository for row in call("repositories.repositories").repositories] == ["shop/api"]
    (tag,) = call("tags.tags", "shop/api").tags
    assert (tag.tag, tag.verdict, bool(tag.reason), tag.pushed_at.tzname()) == ("v2", "keep", True, "UTC")
    (deleted,) = call("trash.trash", repository="shop/api").deleted
    assert (deleted.tag, deleted.reason) == ("v1", "older than the newest (rule last)")
    item = models.ImageToRestore(repository="shop/api", tag="v1")
    (restored,) = call("restorations.restore_images", body=models.RestorationRequest(items=[item])).results
    assert restored.status == "restored"
    assert {row.tag for row in call("tags.tags", "shop/api").tags} == {"v1", "v2"}
    request = models.ManualDeletionRequest(repository="shop/api", tags=["v1"], dry_run=True)
    (result,) = call("deletions.delete", body=request).results
    assert result.status == "possible"
    assert call("search.search_all", q="shop").repositories
    assert call("usage.usage").points == []
    assert call("collections.collections").queued is None
    assert [event.action for event in call("events.events", action="pruned").events] == ["pruned"]
    assert call("tags.tags", "shop/none").detail == "no repository 'shop/none' is known"
