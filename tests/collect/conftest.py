"""The fixtures of a whole system in one process."""

from tests.support.lease import patient_lease
from tests.support.system import make_system, old_pushes, on_disk, short_pauses, whole_listings

__all__ = ["make_system", "old_pushes", "on_disk", "patient_lease", "short_pauses", "whole_listings"]
