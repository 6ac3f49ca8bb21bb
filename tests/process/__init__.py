"""Child processes and the identity of a process."""
