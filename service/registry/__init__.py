"""The registry seen from outside."""
