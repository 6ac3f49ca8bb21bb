"""A model of a registry with users, and the machine that drives the product against it."""
