"""The journal of an online collection tells a later run which blobs no client can push as a manifest."""

import json

import pytest

from service.collect.online.journal import JOURNAL
from service.registry.layout import blob_key
from tests.fakes.images import make_image, sha256
from tests.support.online import GRACE_S, SHOP, OnlineSite

UNUSED = make_image(2, layers=3)


@pytest.fixture(autouse=True)
def unlinked(site: OnlineSite) -> None:
    """A collection has unlinked the blobs of an image, which the next one deletes."""
    for image in (make_image(1), UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)
    assert site.collect_after().unlinked
    site.later(GRACE_S + 1)


def states_of_deletions(site: OnlineSite) -> dict[str, str]:
    """Run a collection, and map the key of each blob to the state of the gate while its data was deleted."""
    states: dict[str, str] = {}

    def note(action: str, keys: tuple[str, ...]) -> None:
        held = site.store.gate.state()
        if action == "delete" and held:
            states.update(dict.fromkeys(keys, held.state))

    site.objects.before_step = note
    assert site.collect().blobs == len(UNUSED.blobs) + 1
    return states


def test_the_run_that_deletes_reads_no_data_and_lets_puts_of_manifests_pass_while_layers_are_deleted(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_start(key: str, length: int) -> bytes | None:
        raise AssertionError(f"{key} was read")

    monkeypatch.setattr(site.objects, "read_start", read_start)
    layers = {blob_key(sha256(blob)): "claiming" for blob in UNUSED.blobs}
    assert states_of_deletions(site) == {**layers, blob_key(UNUSED.digest): "manifests"}


def test_blobs_in_the_journal_of_an_earlier_version_are_deleted_as_manifests(site: OnlineSite) -> None:
    """An earlier version did not write which of them can be no manifest."""
    head, *lines = (site.plain.read(JOURNAL) or b"").splitlines()
    rows = [[row[:4] for row in json.loads(line)] for line in lines]
    site.plain.write(JOURNAL, b"\n".join([head, *(json.dumps(row).encode() for row in rows)]))
    assert set(states_of_deletions(site).values()) == {"manifests"}
