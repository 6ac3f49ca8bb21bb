"""Answers to users: inventory, verdicts, platforms and disk usage."""
