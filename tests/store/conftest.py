"""The history over the test's own Redis."""

from tests.support.record import history

__all__ = ["history"]
