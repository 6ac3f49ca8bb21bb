"""Pushes that meet a deletion in a bucket."""

from collections.abc import Callable

import pytest

from service.registry.objects import ObjectStore


def at_deletion(monkeypatch: pytest.MonkeyPatch, when: str, push: Callable[[], object]) -> None:
    """Let a push happen once, right before or right after the current link of a tag is deleted."""
    real, done = ObjectStore.delete_if, list[object]()

    def delete_if(objects: ObjectStore, key: str, etag: str) -> bool:
        if when == "before" and not done:
            done.append(push())
        result = real(objects, key, etag)
        if when == "after" and not done:
            done.append(push())
        return result

    monkeypatch.setattr(ObjectStore, "delete_if", delete_if)
