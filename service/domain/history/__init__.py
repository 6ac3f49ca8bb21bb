"""History entries of tags, and the intervals they span."""
