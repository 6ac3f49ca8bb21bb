"""Gate processes that are silent: while they may still let requests pass, no collection runs."""

from dataclasses import dataclass

from service.collect.watch import Postponed
from service.domain.timestamps import rfc3339
from service.process import identity
from service.store import Store
from service.store.gate import FORGOTTEN_S


@dataclass(frozen=True, slots=True)
class SilentGate:
    """A gate process that has not reached Redis for a while: it has ended without signing off, or is cut off.

    Attributes:
        name: its name in Redis.
        seen_ms: its last contact.
    """

    name: str
    seen_ms: int

    @property
    def host(self) -> str:
        """The name of its host or container."""
        return identity.host_of(self.name)

    @property
    def forgotten_ms(self) -> int:
        """The time (ms) from which collections no longer wait for it."""
        return self.seen_ms + FORGOTTEN_S * 1000


def silent(store: Store) -> tuple[SilentGate, ...]:
    """Return the gate processes that are silent and not forgotten yet, in the order in which they are forgotten."""
    gates = (SilentGate(name, seen_ms) for name, seen_ms in store.gate.silent().items())
    return tuple(sorted(gates, key=lambda gate: (gate.seen_ms, gate.name)))


def refuse_silent(store: Store) -> None:
    """Refuse to collect while a gate process is silent: without Redis it may let requests pass a closed gate.

    Raises:
        Postponed: before any request had to wait.
    """
    if gates := silent(store):
        last = gates[-1]
        raise Postponed(
            f"the gate process on {last.host} has not reached Redis since {_minute(last.seen_ms)} and may still let "
            f"pushes pass: collections wait until {_minute(last.forgotten_ms)}; if it has ended, "
            "`pushprune gc --forget-gates` ends the wait"
        )


def forget(store: Store, gates: tuple[SilentGate, ...]) -> None:
    """Forget these gate processes, except those that have reached Redis since they were seen to be silent."""
    store.gate.check_out(*(gate.name for gate in silent(store) if gate in gates))


def unaware(store: Store, token: str) -> str:
    """Name the hosts of gate processes that do not know yet that this holder closed the gate; "" if all know."""
    return ", ".join(sorted({identity.host_of(name) for name in store.gate.unaware(token)}))


def _minute(at_ms: int) -> str:
    return f"{rfc3339(at_ms * 1000)[:16].replace('T', ' ')} UTC"
