"""Comparing the history with the registry."""
