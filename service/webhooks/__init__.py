"""Send pushprune's own events to webhooks: look at what was recorded, queue events for each receiver, post them."""
