"""Garbage collections: runs, time windows, and the output of the collector."""
