"""Faults for the fake registry: failures, lost connections, delays, and things that happen meanwhile."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Kind = Literal["fail", "drop", "lose answer", "delay", "before", "after"]


@dataclass
class Fault:
    """A fault for the next `times` requests whose method and path match; times=None: all of them."""

    kind: Kind
    method: str
    path: re.Pattern[str]
    times: int | None = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    call: Callable[[], object] = bool


class Faults:
    """The planted faults, in the order in which they were planted."""

    def __init__(self) -> None:
        self._planted: list[Fault] = []
        self._lock = Lock()

    def plant(self, kind: Kind, method: str, path_regex: str, times: int | None, **what: object) -> None:
        fault = Fault(kind, method, re.compile(path_regex), times)
        for name, value in what.items():
            setattr(fault, name, value)
        with self._lock:
            self._planted.append(fault)

    def take(self, kind: Kind, method: str, path: str) -> Fault | None:
        """The first of this kind that this request meets, used up once more."""
        with self._lock:
            for fault in self._planted:
                if fault.kind == kind and fault.method in (method, "*") and fault.path.search(path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._planted.remove(fault)
                    return fault
            return None

    def clear(self) -> None:
        with self._lock:
            self._planted.clear()
