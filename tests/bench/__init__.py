"""Figures of the running system: `make bench`, or `python -m tests.bench [FIGURE …]`."""
