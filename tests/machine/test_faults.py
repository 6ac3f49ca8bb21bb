"""A machine that finds nothing proves nothing: it finds each planted fault, and nothing where there is none."""

from typing import Literal

import pytest

from tests.machine import faults
from tests.machine.by_digest import ByDigest
from tests.machine.ground import Ground
from tests.machine.machine import Awkward, Changing, Forged, Machine
from tests.support.machine import run

_AT_MOST = 300
# All other faults are found by the plain machine.
_KINDS = {"believed-parts": Forged, "old-policy": Changing, "unchecked-restore": ByDigest}


@pytest.mark.deep
@pytest.mark.parametrize("fault", sorted(faults.FAULTS))
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_planted_fault_is_found(ground: Ground, fault: str, version: Literal["2.8", "3"]) -> None:
    if (fault, version) == ("unnoted-tombstone", "3"):
        pytest.skip("Distribution 3 deletes tags alone, without a tombstone")
    kind = _KINDS.get(fault, Machine)
    begun: list[Machine] = []

    def machine() -> Machine:
        begun.append(kind(ground, version))
        return begun[-1]

    with faults.FAULTS[fault](), pytest.raises(AssertionError, match=faults.SAID_OF[fault]) as failure:
        run(machine, _AT_MOST, shrink=False)
    print(f"{fault}, {version}: example {len(begun)}: {str(failure.value).splitlines()[0]}")
    ground.wirings.clear()  # their connections know the scripts with the fault
    run(lambda: kind(ground, version), len(begun), shrink=False)


@pytest.mark.deep
def test_hidden_tags_are_missed_where_it_is_not_tried_whether_there_are_any(ground: Ground) -> None:
    """The ground's registry counts as known to list every tag, which is not true of this one."""
    with pytest.raises(AssertionError, match=r"is kept, and missing|went although nothing said so|cannot be pulled"):
        run(lambda: Awkward(ground, "3.1.1"), 200, shrink=False)
