"""The progress of a verb without a service."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from service.local.one_off import OneOff
from service.local.progress import WorkDone


@contextmanager
def shown_progress(system: OneOff) -> Iterator[None]:
    """Show the progress of the block on standard error, with its rate and the time left, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        looks, deletes = (
            bar.add_task("tags read", total=None),
            bar.add_task("images deleted", visible=False, total=None),
        )

        def show(done: WorkDone) -> None:
            bar.update(looks, completed=done.looked, total=done.to_look)
            bar.update(deletes, completed=done.deleted, total=done.to_delete, visible=done.to_delete > 0)

        system.report = show
        try:
            yield
        finally:
            system.report = None


class _Rate(ProgressColumn):
    """The steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")
