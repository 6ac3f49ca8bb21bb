"""The output of garbage-collect, parsed line by line."""

import re
from dataclasses import dataclass, field
from typing import Self

_MARK = re.compile(r"^(?P<repository>\S+): marking manifest (?P<digest>\S+)")
_TOTALS = re.compile(r"^(\d+) blobs marked, (\d+) blobs and (\d+) manifests eligible for deletion")
_ELIGIBLE = re.compile(r"^blob eligible for deletion: (\S+)")
# Distribution 3 also deletes a repository's links to blobs that are not marked when that repository is enumerated.
_LINK = re.compile(r"^(?P<repository>\S+): layer link eligible for deletion: (?P<digest>\S+)")
_NOTHING_YET = re.compile(r"Path not found: .*/repositories")
_TAIL = 20


@dataclass(slots=True)
class Report:
    """The parsed output of garbage-collect.

    Attributes:
        marked: the number of marked blobs, from the totals.
        blobs: the number of blobs to delete, from the totals.
        manifests: the number of manifests to delete, from the totals.
        marks: (repository, digest) of each marked manifest.
        eligible: the digests of the blobs to delete.
        named: the same, as a set.
        links: (repository, digest) of each layer link that is deleted, whether its blob is deleted or not.
        last_link: the last of these.
        totalled: True if the totals were printed, which happens before the first blob is deleted.
        nothing_yet: True if nothing was ever pushed to the storage.
        tail: the last lines, without the lines about marked manifests.
    """

    marked: int = 0
    blobs: int = 0
    manifests: int = 0
    marks: set[tuple[str, str]] = field(default_factory=set)
    eligible: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)
    last_link: tuple[str, str] | None = None
    totalled: bool = False
    nothing_yet: bool = False
    tail: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Parse one line of output. 2.8 and 3 print the same formats, but only 3 deletes layer links."""
        line = line.rstrip("\n")
        if match := _MARK.match(line):
            self.marks.add((match["repository"], match["digest"]))
        elif match := _ELIGIBLE.match(line):
            self.eligible.append(match[1])
            self.named.add(match[1])
        elif match := _LINK.match(line):
            self.last_link = (match["repository"], match["digest"])
            self.links.add(self.last_link)
        elif match := _TOTALS.match(line):
            self.marked, self.blobs, self.manifests = (int(number) for number in match.groups())
            self.totalled = True
        elif _NOTHING_YET.search(line):
            self.nothing_yet = True
        if line.strip() and not _MARK.match(line):
            self.tail = [*self.tail[-_TAIL + 1 :], line]

    def excess(self, rehearsal: Self) -> str:
        """Describe a deletion in this output, as far as it was read, that the rehearsal does not have; "" if none."""
        # The totals are printed before the first blob is deleted, so that a collector can be stopped in time.
        if self.totalled and (self.blobs > len(rehearsal.eligible) or self.marked < rehearsal.marked):
            return f"it was about to delete {self.blobs} blobs, but the dry run listed {len(rehearsal.eligible)}"
        if self.eligible and self.eligible[-1] not in rehearsal.named:
            return f"it deleted {self.eligible[-1]}, which the dry run did not list"
        if self.last_link and self.last_link not in rehearsal.links:
            return f"it deleted the layer link {'@'.join(self.last_link)}, which the dry run did not list"
        return ""


def names_blob(line: str) -> bool:
    """True for a line of the output that names a blob which is deleted next, or in a dry run would be."""
    return _ELIGIBLE.match(line) is not None
