"""Pushes that meet a deletion in a bucket."""

from collections.abc import Callable, Iterable, Mapping

import pytest

from service.registry.bucket_deletion import SIGN
from service.registry.objects import ObjectStore


def at_deletion(monkeypatch: pytest.MonkeyPatch, when: str, push: Callable[[], object]) -> None:
    """Have a push happen once, right before or right after the current link of a tag is deleted."""
    real, done = ObjectStore.delete, list[object]()

    def delete(objects: ObjectStore, keys: Iterable[str]) -> Mapping[str, str]:
        names = list(keys)
        is_current = any(name.endswith("current/link") and SIGN not in name for name in names)
        if when == "before" and is_current and not done:
            done.append(push())
        result = real(objects, names)
        if when == "after" and is_current and not done:
            done.append(push())
        return result

    monkeypatch.setattr(ObjectStore, "delete", delete)
