"""An entry of a tag in Redis that cannot be read: nothing is deleted there, and the operator reads what to do."""

import re
from typing import Any

import pytest

from service.domain.errors import StoreDamaged
from service.reconcile import compare
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System


def troubles(system: System) -> dict[str, str]:
    return {trouble.about: trouble.message for trouble in system.store.outbox.troubles()}


@pytest.mark.parametrize("value", ["damaged", None])
def test_the_trouble_names_the_entry_to_delete_and_ends_with_the_entry(make_system: Make, value: str | None) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    system.settle()
    client: Any = system.store.connection.client
    live = system.store.connection.keys.of("live", SHOP)
    client.hset(live, "v1", value) if value else client.hdel(live, "v1")
    system.store.outbox.mark_due([SHOP])
    system.later()
    sentence = troubles(system)[f"due {SHOP}"]
    assert "fault" not in sentence
    assert sentence.startswith(f"the entry of {SHOP}:v1 in Redis cannot be read, so nothing is planned or deleted")
    with pytest.raises(StoreDamaged, match="cannot be read"):
        system.store.history.snapshot(SHOP)
    for command in re.findall(r"redis-cli ([^;)]+)", sentence):
        client.execute_command(*command.split())
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.later()
    assert troubles(system) == {}
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags() == {"v1", "v2"}
