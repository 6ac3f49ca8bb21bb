"""The result of the demo: every tag, kept or deleted, with the reason, compared with the registry."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from service.local.demo_story import DemoPush
from service.registry import integrity
from service.registry.client import RegistryClient
from service.reports.verdicts import Verdicts
from service.store import Store


@dataclass(frozen=True)
class TagResult:
    """The result for one tag.

    Attributes:
        digest: the digest that the tag pointed at last.
        kept: False if the tag was deleted.
        reason: the reason that pushprune gives.
    """

    repository: str
    tag: str
    digest: str
    kept: bool
    reason: str

    @property
    def name(self) -> str:
        """The repository and the tag, as docker writes them."""
        return f"{self.repository}:{self.tag}"


def tag_results(store: Store, verdicts: Verdicts, pushes: Sequence[DemoPush]) -> tuple[TagResult, ...]:
    """Return every tag of the story in the order of its last push, with the reason from today's plan or the history."""
    last: dict[tuple[str, str], str] = {}
    for push in pushes:
        last.pop((push.repository, push.tag), None)
        last[push.repository, push.tag] = push.digest
    kept: dict[tuple[str, str], str] = {}
    deleted: dict[tuple[str, str], str] = {}
    for repository in {push.repository for push in pushes}:
        for verdict in verdicts.of(repository):
            kept[repository, verdict.tag.name] = verdict.reason
        for entry in store.history.entries(repository, count=1000):
            if entry.action == "pruned":
                deleted.setdefault((repository, entry.tag), entry.reason)
    return tuple(
        TagResult(*name, digest, name in kept, kept.get(name) or deleted.get(name) or "")
        for name, digest in last.items()
    )


def table(results: Iterable[TagResult]) -> Table:
    """Return a table with a row for every tag."""
    shown = Table(
        "tag", "digest", "verdict", "reason", title="kept and deleted tags, with reasons", title_justify="left"
    )
    for result in results:
        mark = "[green]kept[/]" if result.kept else "[red]deleted[/]"
        shown.add_row(result.name, result.digest.removeprefix("sha256:")[:12], mark, result.reason)
    return shown


def differences(registry: RegistryClient, results: Sequence[TagResult]) -> Iterator[str]:
    """Yield a sentence for each tag that is not at the registry as its result says."""
    listed = {(name, tag) for name in {result.repository for result in results} for tag in registry.tags(name)}
    for result in results:
        repository, digest = result.repository, result.digest
        if result.kept:
            head = registry.head(repository, result.tag)
            if head is None or head.digest != digest:
                yield f"{result.name} is kept, but does not point at {digest}"
            elif flaw := integrity.flaw(registry, repository, digest, lambda _: True):
                yield f"{result.name} is kept, but cannot be pulled: {flaw}"
        elif (repository, result.tag) in listed or registry.head(repository, digest):
            yield f"{result.name} was deleted, but the registry still has it"
