"""`pushprune demo`: a registry of its own, a story of pushes, and the result for each tag."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from service.domain.collection.run import Run
from service.domain.errors import PushpruneError
from service.local import registry_binary
from service.local.demo_result import TagResult, differences, table, tag_results
from service.local.demo_story import APP, LAYER_BYTES, DemoPush, DemoUser, push_story
from service.local.ports import free_port
from service.local.processes import until
from service.local.sign_in import LIFE_S
from service.local.supervisor import Child, Supervisor, stopping_on_signals
from service.local.transcript import Transcript
from service.local.up import SPEAKERS, PreparedSystem, UpOptions, prepared
from service.process.child_environment import child_environment
from service.wiring import wire

KEEP_LAST, PROTECTED = 10, "latest"
_PATIENCE_S = 60.0
# No blob-descriptor cache: with a cache, the registry would claim that collected blobs still exist.
_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class DemoRegistry:
    """A registry on a free port, with all its files in `directory`."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._config = directory / "registry.yml"
        self._port = free_port()
        self.storage = directory / "registry"
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def collect_command(self) -> list[str]:
        """The command that collects its garbage."""
        return [str(self._binary), "garbage-collect", str(self._config)]

    def child(self, environ: Mapping[str, str], notifications: str) -> Child:
        """Write the configuration with this `notifications:` block, and return the process to run."""
        self.storage.mkdir()
        self._config.touch(mode=0o600)
        self._config.write_text(_CONFIG.format(storage=self.storage, port=self._port) + notifications)
        # Without this, version 3 tries to send traces to an OpenTelemetry collector and logs errors.
        environ = {**child_environment(environ), "OTEL_TRACES_EXPORTER": "none"}
        return Child("registry", (str(self._binary), "serve", str(self._config)), environ)

    def stored_bytes(self) -> int:
        """Return the bytes of all files in its storage."""
        return sum(file.stat().st_size for file in self.storage.rglob("*") if file.is_file())


class NotAsPromised(PushpruneError):
    """The registry does not contain exactly what the policy keeps."""


def demo(console: Console, *, once: bool) -> None:
    """Run the demo; with `once` end after it, else keep everything running until Ctrl-C.

    Raises:
        NotAsPromised: the registry does not contain exactly what the policy keeps; the message lists all differences.
        PushpruneError: something could not be started.
    """
    binary = registry_binary.find(say=console.print)
    with logged(console) as (folder, transcript):
        _run(console, transcript, binary, folder, once=once)


@contextmanager
def logged(console: Console) -> Iterator[tuple[Path, Transcript]]:
    """Yield a temporary folder, and a transcript of the processes. It is printed if the block cannot go on."""
    with tempfile.TemporaryDirectory(prefix="pushprune-demo-") as folder:
        log = Path(folder) / "log"
        try:
            with log.open("w") as stream:
                yield Path(folder), Transcript(stream, speakers=SPEAKERS)
        except PushpruneError:
            # Log lines contain brackets, which rich would take for markup.
            console.print(log.read_text(), markup=False, highlight=False)
            raise


def stay_up(console: Console, transcript: Transcript, supervisor: Supervisor, system: PreparedSystem) -> None:
    """Print a link to the dashboard, and keep the processes running until Ctrl-C, with their log on the terminal."""
    console.print(f"  {system.sign_in_link()}", soft_wrap=True)
    console.print(
        f"The link signs you in once, within {LIFE_S // 60} minutes. "
        f"Another one: pushprune sign-in --data {system.settings.data_dir}",
        soft_wrap=True,
    )
    transcript.turn_to(sys.stdout)
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        console.print("stopping; Ctrl-C again kills at once")


def _run(console: Console, transcript: Transcript, binary: Path, folder: Path, *, once: bool) -> None:
    registry = DemoRegistry(binary, folder)
    supervisor = Supervisor(transcript)
    options = UpOptions(
        registry=registry.url,
        listen="127.0.0.1:0",
        data=folder / "data",
        keep_last=KEEP_LAST,
        # A push before the first comparison has ended would look like a tag from before pushprune.
        applies_first_plan=True,
        more={
            "PUSHPRUNE_GC__COMMAND": json.dumps(registry.collect_command),
            "PUSHPRUNE_STORAGE__PATH": str(registry.storage),
        },
    )
    with prepared(options, undisturbed(os.environ)) as system, stopping_on_signals(supervisor), supervisor:
        Demo(console, supervisor, registry, system).run()
        if not once:
            console.print(f"\nStill up: push to {registry.url}, Ctrl-C ends and removes all. Open the dashboard:")
            stay_up(console, transcript, supervisor, system)


class Demo:
    """The running system of the demo, and what happens in it."""

    def __init__(
        self, console: Console, supervisor: Supervisor, registry: DemoRegistry, system: PreparedSystem
    ) -> None:
        self._console, self._supervisor, self._registry, self._system = console, supervisor, registry, system
        self._user = DemoUser(registry.url)
        self._wiring = wire(system.settings)

    def run(self) -> None:
        """Start the system, push the story, wait for the deletions, collect garbage and check the result."""
        self._start()
        pushes = self._push()
        self._settle(pushes)
        results = tag_results(self._wiring.store, self._wiring.verdicts, pushes)
        self._console.print(table(results))
        run, before, after = self._collect()
        self._summarize(results, run, before, after)
        wrong = list(differences(self._user, results))
        deleted = {result.digest for result in results if not result.kept}
        if before - after < len(deleted) * LAYER_BYTES:
            wrong.append(f"the collection freed only {before - after:,} bytes of {len(deleted)} images")
        if wrong:
            raise NotAsPromised(f"not as the policy says: {'; '.join(wrong)}.")
        self._console.print("[green]verified: the registry contains exactly what the policy keeps[/]")
        self._console.print(
            f"now with your registry: pushprune up --registry http://HOST:PORT --keep-last {KEEP_LAST}", soft_wrap=True
        )

    def _start(self) -> None:
        self._supervisor.start(self._registry.child(self._system.environ, self._system.notifications))
        self._until(self._answers, "the registry does not answer")
        self._system.start(self._supervisor)
        self._console.print(f"registry at {self._registry.url}, pushprune at {self._system.address}")
        self._console.print(
            f"policy: keep the last {KEEP_LAST} pushed images of every repository, protect {PROTECTED}\n"
        )

    def _answers(self) -> bool:
        try:
            self._user.ping()
        except PushpruneError:
            return False
        return True

    def _push(self) -> tuple[DemoPush, ...]:
        pushes = []
        with self._console.status("pushing") as status:
            for push in push_story(self._user):
                pushes.append(push)
                status.update(f"pushed {push.repository}:{push.tag}")
        self._console.print(
            f"{len(pushes)} pushes in order: 15 builds, latest after each, stable on an old one, a multi-arch image"
        )
        return tuple(pushes)

    def _settle(self, pushes: Sequence[DemoPush]) -> None:
        """Wait until every push was reported, and all its deletions are done."""
        repositories = {push.repository for push in pushes}
        pushed = {(push.repository, push.tag, push.digest) for push in pushes}

        def settled() -> bool:
            entries = [entry for name in repositories for entry in self._wiring.store.history.entries(name, count=1000)]
            reported = {(entry.repository, entry.tag, entry.digest) for entry in entries if entry.action == "push"}
            backlog = self._wiring.store.outbox.backlog()
            return pushed <= reported and not backlog.due and not backlog.doomed

        with self._console.status("waiting until all work is done"):
            self._until(settled, "there is still work to do")

    def _collect(self) -> tuple[Run, int, int]:
        """Run a collection. Returns its record, and the bytes of the storage before and after."""
        before = self._registry.stored_bytes()
        self._wiring.store.collections.request("requested by the demo")

        def done() -> bool:
            return any(run.result == "done" for run in self._wiring.store.collection_runs.latest())

        with self._console.status("collecting garbage"):
            self._until(done, "the collection is not done")
        run = next(run for run in self._wiring.store.collection_runs.latest() if run.result == "done")
        return run, before, self._registry.stored_bytes()

    def _summarize(self, results: Sequence[TagResult], run: Run, before: int, after: int) -> None:
        builds = [result.kept for result in results if result.repository == APP and result.tag.startswith("build-")]
        self._console.print(f"\nbuilds of {APP}: {builds.count(True)} kept, {builds.count(False)} deleted")
        self._console.print(
            f"collection: {run.blobs} blobs deleted, {before - after:,} bytes freed "
            f"(the registry's storage: {before:,} → {after:,} bytes)"
        )

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        until(condition, failure, patience_s=_PATIENCE_S, meanwhile=lambda: self._supervisor.check(deaths=10))


def undisturbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that name a real Redis, registry or settings file of the user."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PUSHPRUNE_", "REGISTRY_")) and name != "REDIS_URL"
    }
