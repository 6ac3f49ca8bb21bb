"""The events that pushprune sends to webhooks, and their signature."""
