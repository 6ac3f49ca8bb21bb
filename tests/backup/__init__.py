"""Backups: export and import."""
