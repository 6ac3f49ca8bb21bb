"""Tests of service/settings: sources, refusals, secrets, reload."""
