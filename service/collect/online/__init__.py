"""The online collection: delete blobs beside pushes, which wait only for the digests that are being deleted."""
