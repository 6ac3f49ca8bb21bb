"""`pushprune demo`: a registry of its own, a story of pushes, and the result for each tag."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from service.domain.collection.run import Run
from service.domain.errors import PushpruneError
from service.local import outcome, registry_binary, story
from service.local.demo_registry import DemoRegistry
from service.local.processes import until
from service.local.supervisor import Supervisor, stopping_on_signals
from service.local.transcript import Transcript
from service.local.up import SPEAKERS, Options, System, prepared
from service.wiring import Wiring, wire

KEEP_LAST, PROTECTED = 10, "latest"
_PATIENCE_S = 60.0


class NotAsPromised(PushpruneError):
    """The registry does not contain exactly what the policy keeps."""


@dataclass(frozen=True)
class Stage:
    """The running system of the demo."""

    console: Console
    supervisor: Supervisor
    demo_registry: DemoRegistry
    registry: story.Registry
    wiring: Wiring


def demo(console: Console, *, once: bool) -> None:
    """Run the demo; with `once` end after it, else keep everything running until Ctrl-C.

    Raises:
        NotAsPromised: the registry does not contain exactly what the policy keeps; the message lists all differences.
        PushpruneError: something could not be started.
    """
    binary = registry_binary.find(say=console.print)
    with tempfile.TemporaryDirectory(prefix="pushprune-demo-") as folder:
        log = Path(folder) / "log"
        try:
            with log.open("w") as stream:
                _play(console, Transcript(stream, speakers=SPEAKERS), binary, Path(folder), once=once)
        except PushpruneError:
            # Log lines contain brackets, which rich would take for markup.
            console.print(log.read_text(), markup=False, highlight=False)
            raise


def _play(console: Console, transcript: Transcript, binary: Path, folder: Path, *, once: bool) -> None:
    demo_registry = DemoRegistry(binary, folder)
    supervisor = Supervisor(transcript)
    options = Options(
        registry=demo_registry.url,
        listen="127.0.0.1:0",
        data=folder / "data",
        keep_last=KEEP_LAST,
        more={
            "PUSHPRUNE_GC__COMMAND": json.dumps(demo_registry.collect_command),
            "PUSHPRUNE_STORAGE__PATH": str(demo_registry.storage),
        },
    )
    with prepared(options, _undisturbed(os.environ)) as system, stopping_on_signals(supervisor), supervisor:
        stage = _set(console, supervisor, demo_registry, system)
        _tell(stage)
        if not once:
            console.print(
                f"\nStill up: push to {demo_registry.url}, look at {system.address}; Ctrl-C ends and removes all."
            )
            transcript.turn_to(sys.stdout)
            try:
                supervisor.wait()
            except KeyboardInterrupt:
                console.print("stopping; Ctrl-C again kills at once")


def _set(console: Console, supervisor: Supervisor, demo_registry: DemoRegistry, system: System) -> Stage:
    supervisor.start(demo_registry.child(system.environ, system.notifications))
    registry = story.Registry(demo_registry.url)
    until(registry.answers, "the registry does not answer", patience_s=_PATIENCE_S, meanwhile=supervisor.check)
    system.start(supervisor)
    console.print(f"registry at {demo_registry.url}, pushprune at {system.address}")
    console.print(f"policy: keep the last {KEEP_LAST} pushed images of every repository, protect {PROTECTED}\n")
    return Stage(console, supervisor, demo_registry, registry, wire(system.settings))


def _tell(stage: Stage) -> None:
    console = stage.console
    pushes = _push(stage)
    _settle(stage, pushes)
    fates = outcome.fates(stage.wiring.store, stage.wiring.verdicts, pushes)
    console.print(outcome.table(fates))
    expected = story.remains(pushes, KEEP_LAST, PROTECTED)
    wrong = outcome.disagreements(stage.registry, fates, expected)
    run, before, after = _collect(stage)
    wrong += outcome.disagreements(stage.registry, fates, expected)
    went = {fate.digest for fate in fates if not fate.stays}
    if before - after < len(went) * story.LAYER_BYTES:
        wrong += (f"the collection freed only {before - after:,} bytes of {len(went)} images",)
    _summarize(console, fates, run, before, after)
    if wrong:
        raise NotAsPromised(f"not as the policy says: {'; '.join(dict.fromkeys(wrong))}.")
    console.print("[green]verified: the registry contains exactly what the policy keeps[/]")


def _push(stage: Stage) -> tuple[story.Pushed, ...]:
    pushes = []
    with stage.console.status("pushing") as status:
        for push in story.tell(stage.registry):
            pushes.append(push)
            status.update(f"pushed {push.repository}:{push.tag}")
    stage.console.print(
        f"pushed {len(pushes)} tags in order: 15 builds, latest after each, stable on an old one, an index"
    )
    return tuple(pushes)


def _settle(stage: Stage, pushes: Sequence[story.Pushed]) -> None:
    """Wait until every push was reported, and all its deletions are done."""
    repositories = {push.repository for push in pushes}
    pushed = {(push.repository, push.tag, push.digest) for push in pushes}

    def settled() -> bool:
        entries = [entry for name in repositories for entry in stage.wiring.store.history.entries(name, count=1000)]
        heard = {(entry.repository, entry.tag, entry.digest) for entry in entries if entry.action == "push"}
        backlog = stage.wiring.store.outbox.backlog()
        return pushed <= heard and not backlog.due and not backlog.doomed

    with stage.console.status("waiting until nothing is left to do"):
        _until(stage, settled, "there is still something to do")


def _collect(stage: Stage) -> tuple[Run, int, int]:
    """Run a collection. Returns its record, and the bytes of the storage before and after."""
    before = stage.demo_registry.stored_bytes()
    stage.wiring.store.collections.request("asked for by the demo")

    def done() -> bool:
        return any(run.result == "done" for run in stage.wiring.store.collections.runs())

    with stage.console.status("collecting garbage"):
        _until(stage, done, "the collection is not done")
    run = next(run for run in stage.wiring.store.collections.runs() if run.result == "done")
    return run, before, stage.demo_registry.stored_bytes()


def _summarize(console: Console, fates: Sequence[outcome.Fate], run: Run, before: int, after: int) -> None:
    builds = [fate for fate in fates if fate.repository == story.APP and fate.tag.startswith("build-")]
    kept, went = [fate for fate in builds if fate.stays], [fate for fate in builds if not fate.stays]
    console.print(f"\n{len(kept)} kept builds of {story.APP}:")
    for fate in kept:
        also = [other.tag for other in fates if other.digest == fate.digest and other.tag != fate.tag]
        console.print(f"  {fate.tag:<9} {fate.reason}{''.join(f', also tagged {tag}' for tag in also)}")
    console.print(f"{len(went)} builds deleted:")
    for fate in went:
        console.print(f"  {fate.tag:<9} {fate.reason}")
    console.print(
        f"collection: {run.blobs} blobs deleted, {before - after:,} bytes freed "
        f"(the registry's storage: {before:,} → {after:,} bytes)"
    )


def _until(stage: Stage, condition: Callable[[], bool], failure: str) -> None:
    until(condition, failure, patience_s=_PATIENCE_S, meanwhile=lambda: stage.supervisor.check(deaths=10))


def _undisturbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that name a real Redis, registry or settings file of the user."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PUSHPRUNE_", "REGISTRY_")) and name != "REDIS_URL"
    }
