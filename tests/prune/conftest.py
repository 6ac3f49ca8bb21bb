"""The fixtures of a whole system in one process."""

from tests.support.policies import change
from tests.support.system import complete_pushes, make_system, old_pushes, on_disk, short_pauses, whole_listings

__all__ = ["change", "complete_pushes", "make_system", "old_pushes", "on_disk", "short_pauses", "whole_listings"]
