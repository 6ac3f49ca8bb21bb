"""The decision which images a policy keeps and which it deletes, with reasons."""
