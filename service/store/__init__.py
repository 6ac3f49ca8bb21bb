"""Redis and nothing else."""
