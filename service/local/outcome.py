"""The result of the demo: every tag, kept or deleted, with the reason, compared with the expected result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from service.local.story import Pushed, Registry
from service.reports.verdicts import Verdicts
from service.store import Store


@dataclass(frozen=True)
class Fate:
    """The result for one tag.

    Attributes:
        digest: the digest that the tag pointed at last.
        stays: True if the tag is kept.
        reason: the reason that pushprune gives.
    """

    repository: str
    tag: str
    digest: str
    stays: bool
    reason: str

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


def fates(store: Store, verdicts: Verdicts, pushes: Sequence[Pushed]) -> tuple[Fate, ...]:
    """Return every tag of the story in the order of its last push, with the reason from today's plan or the history."""
    last: dict[tuple[str, str], str] = {}
    for push in pushes:
        last.pop((push.repository, push.tag), None)
        last[push.repository, push.tag] = push.digest
    kept: dict[tuple[str, str], str] = {}
    gone: dict[tuple[str, str], str] = {}
    for repository in {push.repository for push in pushes}:
        for verdict in verdicts.of(repository):
            kept[repository, verdict.tag.name] = verdict.reason
        for entry in store.history.entries(repository, count=1000):
            if entry.action == "pruned":
                gone.setdefault((repository, entry.tag), entry.reason)
    return tuple(
        Fate(*name, digest, name in kept, kept.get(name) or gone.get(name) or "") for name, digest in last.items()
    )


def table(tag_fates: Iterable[Fate]) -> Table:
    """Return a table with a row for every tag."""
    shown = Table("tag", "digest", "", "why", title="kept and deleted tags, with reasons", title_justify="left")
    for fate in tag_fates:
        mark = "[green]kept[/]" if fate.stays else "[red]deleted[/]"
        shown.add_row(fate.name, fate.digest.removeprefix("sha256:")[:12], mark, fate.reason)
    return shown


def disagreements(
    registry: Registry, tag_fates: Iterable[Fate], expected: dict[tuple[str, str], str]
) -> tuple[str, ...]:
    """Return a sentence for each difference between the expected result, the registry's answers and the history."""
    tag_fates = tuple(tag_fates)
    actual: dict[tuple[str, str], str] = {}
    for repository in {fate.repository for fate in tag_fates}:
        actual |= {(repository, tag): digest for tag, digest in registry.tags(repository).items()}
    wrong = [f"{':'.join(name)} is not there, but must stay" for name in expected.keys() - actual.keys()]
    wrong += [f"{':'.join(name)} is there, but must be gone" for name in actual.keys() - expected.keys()]
    wrong += [
        f"{':'.join(name)} stands at {actual[name]} instead of {expected[name]}"
        for name in expected.keys() & actual.keys()
        if expected[name] != actual[name]
    ]
    for fate in tag_fates:
        name = (fate.repository, fate.tag)
        if name in expected and not registry.is_whole(fate.repository, fate.digest):
            wrong.append(f"{fate.name} cannot be pulled whole")
        if name not in expected and registry.has_manifest(fate.repository, fate.digest):
            wrong.append(f"{fate.name} is gone, but its manifest {fate.digest} is not")
        if fate.stays != (name in expected):
            wrong.append(f"{fate.name}: the history says that it {'is kept' if fate.stays else 'was deleted'}")
        if not fate.reason:
            wrong.append(f"{fate.name}: the history gives no reason")
    return tuple(sorted(wrong))
