"""A registry that takes long for a DELETE: workers wait, make smaller batches, and repeat no deletion."""

from typing import Any

import pytest

from service.domain.errors import RegistryUnavailable
from service.domain.retention import batching
from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, untag_first


@pytest.mark.parametrize("version", ["2.8", pytest.param("3", marks=pytest.mark.deep)])
def test_deletes_that_take_longer_than_any_other_answer_end(make_system: Make, version: str) -> None:
    system = make_system(keep_last(10), version, registry={"timeout_s": 8, "delete_timeout_s": 600})
    system.push(*(f"v{number}" for number in range(20)))
    # Any other answer that takes so long is given up.
    system.registry.before("DELETE", "manifests/sha256:", lambda: system.registry.closing.wait(9))
    system.settle()
    assert len(system.tags()) == len(system.registry.manifests(SHOP)) == 10


def test_a_delete_has_a_timeout_of_its_own(make_system: Make) -> None:
    system = make_system(keep_last(1), registry={"timeout_s": 60, "delete_timeout_s": 0.05})
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    system.registry.delay("DELETE", seconds=2)
    with pytest.raises(RegistryUnavailable, match=r"within 0\.05 s"):
        deleting.delete(system.wiring, SHOP)


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_batches_become_smaller_where_deletes_are_slow_and_each_is_kept(
    make_system: Make, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """A collection gets its turn between two batches, and what a batch has deleted is not done again."""
    system = make_system(keep_last(1), version, delete={"parallel": 2})
    system.push(*(f"v{number}" for number in range(13)))
    untag_first(monkeypatch, False)
    monkeypatch.setattr(deleting, "_FIRST_BATCH", 4)
    monkeypatch.setattr(batching, "BATCH_S", 0.1)
    system.registry.delay("DELETE", "manifests/sha256:", seconds=0.1, times=None)
    sizes: list[int] = []
    remove = deleting._delete_batch

    def watched(*args: Any, **mode: Any) -> None:
        sizes.append(len(args[2]))
        remove(*args, **mode)

    monkeypatch.setattr(deleting, "_delete_batch", watched)
    system.settle()
    assert (sizes[0], set(sizes[1:]) <= {1, 2}, sum(sizes)) == (4, True, 12)
    assert system.registry.count("pushprune", "DELETE", "manifests/sha256:") == 12
    assert len(system.tags()) == 1
