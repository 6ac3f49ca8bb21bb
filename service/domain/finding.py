"""What `pushprune doctor` found: one thing that is right, or wrong with the one line that mends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "warning", "error"]

_ORDER: tuple[Severity, ...] = ("ok", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """name: what was looked at, one word; said: one sentence; mend: the line to write or run, "" where all is well."""

    name: str
    severity: Severity
    said: str
    mend: str = ""


def fine(name: str, said: str) -> Finding:
    return Finding(name, "ok", said)


def warning(name: str, said: str, mend: str) -> Finding:
    """Something that will hurt, or that could not be found out. mend: one line."""
    return Finding(name, "warning", said, _one_line(mend))


def error(name: str, said: str, mend: str) -> Finding:
    """Something that keeps pushprune from its work, or images in danger. mend: one line."""
    return Finding(name, "error", said, _one_line(mend))


def worst(findings: Iterable[Finding]) -> Severity:
    """The gravest severity among them."""
    return max((finding.severity for finding in findings), key=_ORDER.index, default="ok")


def _one_line(mend: str) -> str:
    return " ".join(mend.split("\n"))
