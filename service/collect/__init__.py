"""Garbage collection: when it runs, waiting for pushes, the rehearsal, the run, and the checks afterwards."""
