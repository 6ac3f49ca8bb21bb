"""Tests of service/webhooks/."""
