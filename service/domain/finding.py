"""One result of `pushprune doctor`: a check that passed or does not apply, or a problem and the line that fixes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["skipped", "ok", "warning", "error"]

# The worst last.
SEVERITIES: tuple[Severity, ...] = ("skipped", "ok", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        name: the subject of the check, one word.
        message: the result in one sentence.
        fix: the line to write or run; "" if nothing must be fixed.
    """

    name: str
    severity: Severity
    message: str
    fix: str = ""


def fine(name: str, message: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(name, "ok", message)


def skipped(name: str, message: str) -> Finding:
    """Return the finding of a check that does not apply to these settings."""
    return Finding(name, "skipped", message)


def warning(name: str, message: str, fix: str) -> Finding:
    """Return the finding of a future problem, or of a check that could not be made. fix: one line."""
    return Finding(name, "warning", message, _one_line(fix))


def error(name: str, message: str, fix: str) -> Finding:
    """Return the finding of a problem that stops pushprune from working or endangers images. fix: one line."""
    return Finding(name, "error", message, _one_line(fix))


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the highest severity of these findings; "ok" if there are none."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default="ok")


def _one_line(fix: str) -> str:
    return " ".join(fix.split("\n"))
