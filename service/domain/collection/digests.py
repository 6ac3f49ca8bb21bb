"""Digests as raw bytes, a table of them, and marks on it.

A million digests in a table take 50 MB, with their marks. In a dict and a set they would take 290 MB.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator
from threading import Lock

SHA256_BYTES = 32
_ALGORITHMS = {SHA256_BYTES: "sha256", 48: "sha384", 64: "sha512"}
_LENGTHS = {algorithm: length for length, algorithm in _ALGORITHMS.items()}
_MISSING = -1
_FIRST_SLOTS = 1024


def is_packable(digest: str) -> bool:
    """True if the digest is one that the registry knows (sha256, sha384, sha512)."""
    algorithm, _, hexadecimal = digest.partition(":")
    return pack(algorithm, hexadecimal) is not None


def pack(algorithm: str, hexadecimal: str) -> bytes | None:
    """The raw bytes of a digest; None if it is none that the registry knows."""
    if len(hexadecimal) != 2 * _LENGTHS.get(algorithm, -1):
        return None
    try:
        digest = bytes.fromhex(hexadecimal)
    except ValueError:
        return None
    # `bytes.fromhex` also reads capital letters and spaces.
    return digest if digest.hex() == hexadecimal else None


def packed(digest: str) -> bytes:
    """The raw bytes of a digest, whose length names its algorithm. Raises ValueError for a digest of no known kind."""
    algorithm, _, hexadecimal = digest.partition(":")
    known = pack(algorithm, hexadecimal)
    if known is None:
        raise ValueError(f"{digest[:80]!r} is not a sha256, sha384 or sha512 digest")
    return known


def unpacked(digest: bytes) -> str:
    """The digest as the registry writes it, such as `sha256:…`."""
    return f"{_ALGORITHMS[len(digest)]}:{digest.hex()}"


class DigestTable:
    """The numbers of packed digests, from 0 on, in the order in which they were added. It only grows.

    Two threads may use the same table: a collection that lost its lease may go on beside the next one of its process.
    """

    def __init__(self) -> None:
        # The digests, one after the other. Zeros stand for a digest that is not sha256.
        self._digests = bytearray()
        self._others: dict[bytes, int] = {}
        self._other_digests: dict[int, bytes] = {}
        # A hash table with open addressing: the number of the digest that has the slot. At least half of it is free.
        self._slots = array("i", [_MISSING]) * _FIRST_SLOTS
        self._adding = Lock()

    def __len__(self) -> int:
        return len(self._digests) // SHA256_BYTES

    def __getitem__(self, number: int) -> bytes:
        """The digest of a number."""
        if number in self._other_digests:
            return self._other_digests[number]
        return bytes(self._digests[number * SHA256_BYTES : (number + 1) * SHA256_BYTES])

    @property
    def others(self) -> tuple[bytes, ...]:
        """The digests that are not sha256."""
        return tuple(self._others)

    def number(self, digest: bytes) -> int | None:
        """Return the number of a digest; None if it was not added."""
        if len(digest) != SHA256_BYTES:
            return self._others.get(digest)
        # Another thread may replace the slots meanwhile.
        slots, is_digest_at = self._slots, self._digests.startswith
        last = len(slots) - 1
        slot = hash(digest) & last
        while (number := slots[slot]) != _MISSING:
            if is_digest_at(digest, number * SHA256_BYTES):
                return number
            slot = (slot + 1) & last
        return None

    def add(self, digest: bytes) -> int:
        """Return the number of a digest, which is added if it is new."""
        number = self.number(digest)
        return self._append(digest) if number is None else number

    def _append(self, digest: bytes) -> int:
        with self._adding:
            # Another thread may have added it.
            if (known := self.number(digest)) is not None:
                return known
            number = len(self._digests) // SHA256_BYTES
            # First the digest, then the number that leads to it: readers do not wait for the lock.
            if len(digest) != SHA256_BYTES:
                self._other_digests[number] = digest
                self._digests += bytes(SHA256_BYTES)
                self._others[digest] = number
                return number
            self._digests += digest
            if 2 * number < len(self._slots):
                _place(self._slots, digest, number)
            else:
                self._slots = self._grown()
            return number

    def _grown(self) -> "array[int]":
        slots = array("i", [_MISSING]) * (4 * len(self._slots))
        for number in range(len(self)):
            if number not in self._other_digests:
                _place(slots, self[number], number)
        return slots


def _place(slots: "array[int]", digest: bytes, number: int) -> None:
    last = len(slots) - 1
    slot = hash(digest) & last
    while slots[slot] != _MISSING:
        slot = (slot + 1) & last
    slots[slot] = number


class Marks(Collection[bytes]):
    """A set of packed digests: one byte for each digest of a table, to which it adds those that are new.

    Attributes:
        digests: the table.
    """

    def __init__(self, digests: DigestTable, marked: Iterable[bytes] = ()) -> None:
        self.digests = digests
        self._marked = bytearray(len(digests))
        self.update(marked)

    def add(self, digest: bytes) -> None:
        """Mark a digest."""
        self.add_numbers((self.digests.add(digest),))

    def update(self, digests: Iterable[bytes]) -> None:
        """Mark these digests."""
        self.add_numbers(map(self.digests.add, digests))

    def add_numbers(self, numbers: Iterable[int]) -> None:
        """Mark the digests of these numbers."""
        for number in numbers:
            if number >= len(self._marked):
                self._marked += bytes(len(self.digests) - len(self._marked))
            self._marked[number] = 1

    def has_number(self, number: int) -> bool:
        """True if the digest of this number is marked."""
        return number < len(self._marked) and self._marked[number] == 1

    def __contains__(self, digest: object) -> bool:
        number = self.digests.number(digest) if isinstance(digest, bytes) else None
        return number is not None and self.has_number(number)

    def __iter__(self) -> Iterator[bytes]:
        return (self.digests[number] for number, mark in enumerate(self._marked) if mark)

    def __len__(self) -> int:
        return self._marked.count(1)
