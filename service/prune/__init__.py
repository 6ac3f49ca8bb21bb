"""Deleting old images: planning, rechecking, deleting, untagging, healing, manual deletions and approvals."""
