"""Stand-ins and drivers of the real thing, shared by all tests."""
