"""Replaying the recorded history under another policy."""
