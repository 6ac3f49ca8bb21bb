"""Restoring deleted or overwritten images from the trash."""
