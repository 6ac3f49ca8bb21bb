"""The queue edge: Celery tasks over the outbox in Redis."""
