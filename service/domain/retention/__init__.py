"""Which images a policy keeps and which it deletes, and why."""
