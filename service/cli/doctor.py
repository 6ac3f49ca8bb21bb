"""`pushprune doctor`: check the running system, and print a fix for every problem."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.output import line, output_options, show_document
from service.cli.user import login_name
from service.doctor import CHECKS, NOT_CHECKED, ONCE_FIXED, REPOSITORY, Case, examine, open_case
from service.doctor.health import keep_report
from service.domain.finding import Finding, warning, worst

_FOUND_WRONG = 1
_COLOURS = {"skipped": None, "ok": "green", "warning": "yellow", "error": "red"}


@click.command(
    epilog=examples(
        "pushprune doctor",
        "pushprune doctor --front https://registry.example.com",
    ),
)
@connection_options
@click.option("--front", metavar="URL", help="The address that clients push to: check that writes there ask the gate.")
@click.option("--web", metavar="URL", help="The address of the web process, as seen from here [from `listen`].")
@click.option(
    "--probe-repository", default=REPOSITORY, show_default=True, metavar="REPO", help="The repository of the test push."
)
@click.option(
    "--wait",
    default=10,
    show_default=True,
    metavar="SECONDS",
    type=click.IntRange(1, 600),
    help="How long to wait for the notification of the test push.",
)
@output_options()
def doctor(
    config: Path | None, data: Path | None, front: str | None, web: str | None, probe_repository: str, wait: int,
    as_document: bool,
) -> int:  # fmt: skip
    """Check the registry, Redis, the web process and the workers, and print a fix for every problem.

    Exits with 1 if there is an error. No image is touched: the doctor pushes a tiny manifest into a repository of its
    own, and deletes it again.
    """
    case = open_case(connect(config, data), repository=probe_repository, front=front, web=web, patience_s=wait)
    findings = tuple(_seen(case, as_document))
    keep_report(case.wiring.store, findings, login_name())
    if as_document:
        show_document({"severity": worst(findings), "findings": [asdict(finding) for finding in findings]})
    return _FOUND_WRONG if worst(findings) == "error" else 0


def _seen(case: Case, as_document: bool) -> Iterator[Finding]:
    """Yield the findings, and print each at once. The last line of a terminal names the check under way.

    Checks that could not be made are printed at the end, on one line for each reason.
    """
    unchecked: dict[str, list[str]] = {}
    with Console(stderr=True).status("checking") as status:
        for finding in examine(case, lambda name: status.update(f"checking: {name}")):
            if finding.fix == ONCE_FIXED and finding.message.startswith(NOT_CHECKED):
                unchecked.setdefault(finding.message.removeprefix(NOT_CHECKED), []).append(finding.name)
            elif not as_document:
                status.stop()
                _show(finding)
                status.start()
            yield finding
    if not as_document:
        for reason, names in unchecked.items():
            _show(warning("not checked", f"{', '.join(names)}: {reason}", ONCE_FIXED))


def _show(finding: Finding) -> None:
    severity = click.style(f"{finding.severity:<7}", fg=_COLOURS[finding.severity])
    width = max(len(name) for name in CHECKS)
    click.echo(f"{severity}  {finding.name:<{width}}  ", nl=False)
    line(finding.message)
    if finding.fix:
        line(f"{'':7}  {'':{width}}  fix: {finding.fix}")
