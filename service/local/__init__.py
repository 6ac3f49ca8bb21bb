"""The whole system in one terminal."""
