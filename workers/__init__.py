"""The workers: Celery tasks over the outbox in Redis."""
