"""Tags that an evaluation does not decide again, because a rule certainly keeps them. They still take places."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.retention.state import State


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a group that tags set aside take.

    Attributes:
        count: their number.
        worst: the rank of the last of these tags, or a worse one.
    """

    count: int
    worst: Any


@dataclass(frozen=True, slots=True)
class Aside:
    """The tags that an evaluation sets aside.

    Attributes:
        whole: the state with these tags.
        newest_us: the time (µs) of the newest push of these tags; 0 for none.
        places: number of a rule → group → the places that they take.
    """

    whole: State
    newest_us: int
    places: Mapping[int, Mapping[str, Places]]
