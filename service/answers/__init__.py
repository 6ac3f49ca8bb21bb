"""The answers of the API and of `--json`: one model for each thing, so that both print the same fields."""
