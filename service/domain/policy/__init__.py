"""The retention policy: its model, patterns, groups and units."""
