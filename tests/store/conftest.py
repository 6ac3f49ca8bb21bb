"""The history and the leases over the test's own Redis."""

from tests.support.lease import leases
from tests.support.record import history

__all__ = ["history", "leases"]
