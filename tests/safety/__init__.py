"""One file for each safety rule of service/README.md: the few tests that fail without it."""
