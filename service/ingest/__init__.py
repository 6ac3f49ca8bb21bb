"""Recording what the registry reports."""
