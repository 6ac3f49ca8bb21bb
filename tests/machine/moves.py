"""The images that each tag has lost by a push of another image, and which of these `revisions` keeps."""

from collections.abc import Collection, Mapping

from tests.machine.oracle import closure


class Moves:
    """The images that each tag pointed at since it was last deleted, each with the time of its last push to the tag."""

    def __init__(self) -> None:
        self._pushed: dict[str, dict[str, int]] = {}
        self._deleted_us: dict[str, int] = {}

    def push(self, tag: str, digest: str, at_us: int) -> None:
        """Record a push, in any order."""
        if at_us > self._deleted_us.get(tag, -1):
            pushed = self._pushed.setdefault(tag, {})
            pushed[digest] = max(at_us, pushed.get(digest, 0))

    def delete(self, tag: str, at_us: int) -> None:
        """Record the deletion of a tag, which ends its revisions."""
        self._deleted_us[tag] = max(at_us, self._deleted_us.get(tag, -1))
        pushed = self._pushed.pop(tag, {})
        self._pushed[tag] = {digest: time_us for digest, time_us in pushed.items() if time_us > at_us}

    def restore(self, tag: str, digest: str, at_us: int) -> None:
        """Record that a user restored a tag with the time of an earlier push."""
        self._pushed.setdefault(tag, {})[digest] = at_us

    def lost(
        self, tag: str, digest: str, children: Mapping[str, tuple[str, ...]], indexes: Collection[str]
    ) -> list[str]:
        """Return the digests that a tag lost, the last one first, without parts of indexes.

        A part is no revision if its index was pushed to the tag later.

        Args:
            digest: where the tag points now.
            indexes: those whose parts are known.
        """
        pushed = self._pushed.get(tag, {})
        parts = {
            part
            for index in pushed.keys() & indexes
            for part in closure(index, children) - {index}
            if pushed.get(part, 0) < pushed[index]
        }
        return sorted(pushed.keys() - parts - {digest}, key=pushed.__getitem__, reverse=True)
