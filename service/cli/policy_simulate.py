"""`pushprune policy simulate FILE`: the images that a policy would have deleted in the past, and their later pulls."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from service.answers.simulation import SimulationAnswer
from service.cli.command import examples
from service.cli.connect import connect, connection_options, known_repositories
from service.cli.output import line, output_options, short_digest, show_document, table, tracked, when
from service.cli.policy_file import load_policy_file
from service.clock import now_us
from service.domain.policy.units import parse_span, spell_count, spell_duration
from service.domain.simulation.replay import replay
from service.domain.simulation.report import Deletion, Missed, Simulation

_FILE = click.Path(dir_okay=False, path_type=Path)
_MOST_LINES = 3
_WITHOUT = "--approve-holds ignores holds"
_ADDRESS = re.compile(r"(\[.*\]|[^:]*):\d+")


def _duration(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        duration_s = parse_span(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not duration_s:
        raise click.BadParameter("0 is too short; write a duration such as 30d")
    return duration_s


@click.command(
    epilog=examples(
        "pushprune policy simulate policy.yaml", "pushprune policy simulate policy.yaml shop/api --since 7d"
    )
)
@click.argument("file", type=_FILE)
@click.argument("repositories", nargs=-1, metavar="[REPO]...")
@connection_options
@click.option(
    "--since",
    metavar="DURATION",
    default="30d",
    show_default=True,
    callback=_duration,
    help="How far back the simulation starts.",
)
@click.option("--approve-holds", is_flag=True, help="Assume that every plan that needs approval is approved at once.")
@output_options()
def simulate(
    file: Path, repositories: tuple[str, ...], config: Path | None, data: Path | None, since: int, approve_holds: bool,
    as_document: bool,
) -> None:  # fmt: skip
    """Simulate the policy in FILE on the recorded past: what it would have deleted, and which of that was pulled later.

    The history of each REPO (all if none is named) is replayed with this policy. Nothing is changed.
    """
    policy, end_us = load_policy_file(file), now_us()
    start_us = max(end_us - since * 1_000_000, 0)
    wiring = connect(config, data)
    names = known_repositories(wiring.inventory, repositories) or wiring.inventory.names()
    outcomes = (
        replay(timeline, policy, start_us, end_us, approve_holds=approve_holds)
        for timeline in wiring.inventory.timelines(tracked(names, "simulating"))
    )
    simulation = Simulation(start_us, end_us, tuple(outcomes))
    pulls_from_us = wiring.inventory.pulls_from_us()
    if as_document:
        show_document(SimulationAnswer.of(simulation, pulls_from_us))
        return
    _show_missed(simulation)
    _show_totals(simulation, spell_duration(since))
    for sentence in _caveats(simulation, pulls_from_us):
        line(sentence)


def _show_missed(simulation: Simulation) -> None:
    """Print the number of deleted images that were pulled later. It comes first, as it decides about the policy."""
    gone, missed = simulation.total.digests, len(simulation.missed)
    if missed:
        were = "was" if missed == 1 else "were"
        line(f"{missed:,} of the {spell_count(gone, 'image')} it would have deleted {were} pulled afterwards:")
        headings = ("image", "digest", "would delete at", "by rule", "pulled last", "by", "with", "times")
        table(headings, (_row(missed) for missed in simulation.missed))
        line("")
    elif gone:
        line(f"None of the {spell_count(gone, 'image')} it would have deleted was pulled afterwards.")


def _show_totals(simulation: Simulation, since: str) -> None:
    whole = simulation.total
    line(
        f"In the last {since} it would have deleted {spell_count(whole.digests, 'image')} "
        f"({spell_count(whole.tags, 'tag')}, {whole.size}) "
        f"from {spell_count(len(simulation.repositories), 'repository')}."
    )
    line("")
    groups = (("day (UTC)", simulation.days), ("rule", simulation.rules), ("repository", simulation.repositories))
    for heading, totals in groups:
        if totals:
            rows = ((total.name, str(total.tags), str(total.digests), total.size) for total in totals)
            table((heading, "tags", "digests", "size"), rows)
            line("")


def _caveats(simulation: Simulation, pulls_from_us: int | None) -> Iterator[str]:
    """Yield the limits of the figures, a sentence each."""
    yield from _holds(simulation)
    spared = sum(len(outcome.spared) for outcome in simulation.outcomes)
    if spared:
        pronoun = "it" if spared == 1 else "them"
        yield f"{spell_count(spared, 'image')} would have been kept longer than today's policy kept {pronoun}."
    unclear = sum(len(outcome.unclear) for outcome in simulation.outcomes)
    if unclear:
        yield f"{spell_count(unclear, 'image')} would have been read first: their content or their age is not known."
    yield from _unknown(simulation)
    if pulls_from_us and pulls_from_us > simulation.start_us:
        yield f"Pulls are known since {when(pulls_from_us)} only; a larger history.pulls or history.max_age keeps more."


def _holds(simulation: Simulation) -> Iterator[str]:
    holds = [wait for outcome in simulation.outcomes for wait in outcome.holds]
    if len(holds) > _MOST_LINES:
        names = {wait.repository for wait in holds}
        many = spell_count(len(names), "repository")
        yield f"Plans of {many} would have waited for approval (--json lists them; {_WITHOUT})."
        return
    for wait in holds:
        end = f"until {when(wait.until_us)}" if wait.until_us else f"on ({_WITHOUT})"
        yield f"{wait.repository} would have waited for approval from {when(wait.from_us)} {end}: {wait.reason}."


def _unknown(simulation: Simulation) -> Iterator[str]:
    """Yield a sentence for each repository whose history begins after the start of the simulation, or is empty."""
    bare = [outcome.repository for outcome in simulation.outcomes if outcome.known_from_us is None]
    later = [(outcome.known_from_us, outcome.repository) for outcome in simulation.outcomes
             if outcome.known_from_us is not None and outcome.known_from_us > simulation.start_us]  # fmt: skip
    if len(bare) > _MOST_LINES:
        yield f"Of {len(bare):,} repositories only the current tags are known (--json lists them)."
    else:
        yield from (f"Of {repository} only the current tags are known." for repository in bare)
    if len(later) > _MOST_LINES:
        latest = when(max(later)[0])
        yield f"The record begins later in {len(later):,} repositories, the latest {latest}; --json lists them."
    else:
        for from_us, repository in later:
            yield f"The record of {repository} begins {when(from_us)}; before, nothing is known."


def _row(missed: Missed) -> tuple[str, ...]:
    gone, last = missed.deletion, missed.pulls[-1]
    client = (last.actor or _host(last.address), last.useragent, str(len(missed.pulls)))
    return (_named(gone), short_digest(gone.digest), when(gone.at_us), gone.rule, when(last.at_us), *client)


def _host(address: str) -> str:
    """Return a client's address without its port, which is random."""
    match = _ADDRESS.fullmatch(address)
    return match[1] if match else address


def _named(gone: Deletion) -> str:
    """Return the deleted image by all its tags; without a tag, by the tag that was moved away from its digest."""
    if gone.tags:
        return f"{gone.repository}:{', '.join(gone.tags)}"
    return f"{gone.repository}:{gone.lost_tag} (overwritten)" if gone.lost_tag else f"{gone.repository} (no tag)"
