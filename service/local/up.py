"""`pushprune up`: the whole system in one terminal, started in order and ended in order."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.domain.errors import ConfigurationError, PushpruneError
from service.local import processes, redis_server, snippet
from service.local.directory import DataDirectory
from service.local.environment import keep_environment, secrets_in_files
from service.local.ports import free_port, why_not_listen
from service.local.redis_server import RedisServer
from service.local.supervisor import Supervisor, stopping_on_signals
from service.local.tokens import NAMES, Tokens, private, tokens
from service.local.transcript import Transcript
from service.settings import Settings, load_settings
from service.settings.kinds import listen_host
from service.wiring import wire

SPEAKERS = ("redis", "web", "gate", "worker", "registry")
_REDIS_PATIENCE_S = 300.0  # a long history takes a while to load
_READY_PATIENCE_S = 60.0
_THIS_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where "everywhere" is reached

KEEP_LAST = """\
# Written by `pushprune up --keep-last {count}`.
version: 1
protect: [latest]
first_plan: {first_plan}
rules:
- name: last-{count}
  repos: ["**"]
  keep: {{last: {count}}}
"""


@dataclass(frozen=True)
class Options:
    """What the operator said on the command line; None where nothing was said. `more`: further PUSHPRUNE_ variables.

    applies_first_plan: with keep_last, the first clean-up of a repository waits for no approval.
    """

    registry: str | None = None
    listen: str | None = None
    data: Path | None = None
    config: Path | None = None
    keep_last: int | None = None
    applies_first_plan: bool = False
    more: Mapping[str, str] = field(default_factory=dict)

    def environ(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment with these options in it: the children read their settings from there."""
        config = self.config or inherited.get("PUSHPRUNE_CONFIG")
        said = {
            "PUSHPRUNE_CONFIG": os.path.abspath(config) if config else None,
            "PUSHPRUNE_REGISTRY__URL": self.registry,
            "PUSHPRUNE_LISTEN": self.listen,
            "PUSHPRUNE_DATA_DIR": self.data and str(self.data),
            **self.more,
        }
        return {**inherited, **{name: value for name, value in said.items() if value}}


@dataclass(frozen=True)
class System:
    """Everything prepared, nothing started: settings that were found good, and what the children will be told."""

    settings: Settings
    environ: Mapping[str, str]
    tokens: Tokens
    redis: RedisServer | None
    held_fds: tuple[int, ...]
    announced: bool = False  # the lines for the registry are the same as at the last start

    @property
    def address(self) -> str:
        """The URL at which this machine reaches the web process."""
        return _reached(self.settings.listen)

    @property
    def has_gate(self) -> bool:
        """True if a gate process belongs to the system."""
        return self.settings.gc.gate == "proxy"

    @property
    def notifications(self) -> str:
        """The block for the registry's config.yml."""
        token = self.settings.tokens.notify
        return snippet.notifications(snippet.address(self.settings), token.get_secret_value() if token else "")

    def start(self, supervisor: Supervisor, report: Callable[[str], None] | None = None) -> None:
        """Start Redis, then web and worker; return once all answer. report: takes what is wrong, and no obstacle.

        Raises NotReady or ChildKeepsDying with one sentence when they do not, ConfigurationError for a policy file that
        cannot be obeyed while none is remembered from an earlier life.
        """
        url = str(self.settings.redis.url)
        if self.redis:
            supervisor.start(self.redis.child(self.environ, self.held_fds))
        processes.until(
            lambda: redis_server.is_up(url),
            f"Redis at {redis_server.shown(url)} does not answer",
            patience_s=_REDIS_PATIENCE_S if self.redis else _READY_PATIENCE_S,
            meanwhile=supervisor.check,
        )
        if (complaint := self.policy_complaint()) and report:
            report(f"warning: {complaint}")
        started = time.monotonic()
        supervisor.start(processes.web(self.environ, self.held_fds))
        supervisor.start(processes.worker(self.environ, self.held_fds))
        if self.has_gate:
            supervisor.start(processes.gate(self.environ, self.held_fds))
        outbox = wire(self.settings, patient=True).outbox

        def ready() -> bool:
            """The worker of the last start gave its signs of life as well: only one since we started counts."""
            return processes.is_ready(self.address) and outbox.workers(within_s=time.monotonic() - started) > 0

        processes.until(
            ready,
            f"{self.address} is not ready",
            patience_s=_READY_PATIENCE_S,
            meanwhile=supervisor.check,
        )
        if self.has_gate:
            gate = _reached(self.settings.gc.gate_listen)
            processes.until(
                lambda: processes.is_alive(gate),
                f"the gate at {gate} does not answer",
                patience_s=_READY_PATIENCE_S,
                meanwhile=supervisor.check,
            )

    def policy_complaint(self) -> str | None:
        """What is wrong with the policy's file while the policy of an earlier life stays in force; None: nothing.

        Raises ConfigurationError where there is none of an earlier life either.
        """
        policies = wire(self.settings, patient=True).policies
        if policies.current() is None and policies.error:
            raise ConfigurationError(policies.error)
        return policies.complaint

    def registry_trouble(self) -> str | None:
        """One sentence when the registry does not answer or does not let us in."""
        try:
            wire(self.settings, patient=True).client.ping()
        except PushpruneError as error:
            return str(error)
        return None


@contextmanager
def prepared(options: Options, inherited: Mapping[str, str] | None = None) -> Iterator[System]:
    """Claim the data directory for as long as the block lasts, and prepare everything in it.

    Raises ConfigurationError or DirectoryInUse with one sentence, before anything is started.
    """
    environ = options.environ(os.environ if inherited is None else inherited)
    # The tokens lie in the data directory, which is a setting: until they are there, an address that needs them is not
    # looked at.
    first_look = load_settings(environ=environ, listen="127.0.0.1:8080")
    if not first_look.registry.url:
        raise ConfigurationError("the registry's address is missing: give it with --registry http://HOST:PORT.")
    if options.keep_last and first_look.policy:
        raise ConfigurationError("--keep-last is a policy, and the settings hold another: give one of them.")
    with DataDirectory(first_look.data_dir) as directory:
        environ["PUSHPRUNE_DATA_DIR"] = str(directory.path)
        made = _tokens(first_look, directory.path, environ)
        redis = _redis(first_look, directory.path, environ)
        if options.keep_last:
            first_plan = "apply" if options.applies_first_plan else "hold"
            written = KEEP_LAST.format(count=options.keep_last, first_plan=first_plan)
            private(directory.path / "policy.yaml", written)
            environ["PUSHPRUNE_POLICY"] = str(directory.path / "policy.yaml")
        if first_look.log.format == "auto":
            environ["PUSHPRUNE_LOG__FORMAT"] = "console"  # the children write into a pipe, but to a reader
        environ = secrets_in_files(directory.path, environ)
        settings = _with_free_addresses(environ)
        system = System(settings, environ, made, redis, (directory.children_fd,))
        block = directory.path / "notifications.yml"
        announced = block.exists() and block.read_text() == system.notifications
        private(block, system.notifications)
        keep_environment(directory.path, environ)
        yield replace(system, announced=announced)


def up(options: Options, transcript: Transcript) -> None:
    """Run everything until SIGINT or SIGTERM. Raises a PushpruneError with one sentence when it cannot."""
    supervisor = Supervisor(transcript)
    with prepared(options) as system, stopping_on_signals(supervisor), supervisor:
        try:
            _introduce(system, transcript)
            system.start(supervisor, transcript.say)
            transcript.say(f"ready at {system.address}, keeping {system.settings.registry.url} small")
            if trouble := system.registry_trouble():
                transcript.say(f"warning: {trouble}")
            supervisor.wait()
        except KeyboardInterrupt:
            transcript.say("stopping; Ctrl-C again kills at once")


def _introduce(system: System, transcript: Transcript) -> None:
    data_dir = system.settings.data_dir
    if not system.announced and not transcript.is_terminal:
        # A log is kept and read by others (journald, docker logs), and the lines hold the token.
        transcript.say(f"add the lines in {data_dir / 'notifications.yml'} to the registry's config.yml and restart it")
        transcript.plain(snippet.DELETE_HINT)
    elif not system.announced:
        transcript.say("add this to the registry's config.yml and restart the registry:")
        transcript.plain(f"\n{system.notifications}{snippet.DELETE_HINT}\n")
    else:
        transcript.say(f"the lines for the registry's config.yml are in {data_dir / 'notifications.yml'}")
    if system.settings.policy is None:
        transcript.say("no policy is set: nothing will be deleted until one is given (--keep-last N, or a policy file)")


def _tokens(settings: Settings, directory: Path, environ: dict[str, str]) -> Tokens:
    """Make the tokens that the settings do not give."""
    made = tokens(directory / "tokens", [name for name in NAMES if getattr(settings.tokens, name) is None])
    environ |= {f"PUSHPRUNE_TOKENS__{name.upper()}_FILE": str(file) for name, file in made.files.items()}
    return made


def _redis(settings: Settings, directory: Path, environ: dict[str, str]) -> RedisServer | None:
    """The embedded Redis, where neither the settings nor REDIS_URL name another."""
    if settings.redis.url:
        return None
    if url := environ.pop("REDIS_URL", ""):
        environ["PUSHPRUNE_REDIS__URL"] = url
        return None
    server = RedisServer(redis_server.find_binary(environ), directory / "redis")
    server.prepare()
    environ["PUSHPRUNE_REDIS__URL_FILE"] = str(server.url_file)
    return server


def _with_free_addresses(environ: dict[str, str]) -> Settings:
    settings = load_settings(environ=environ)
    environ["PUSHPRUNE_LISTEN"] = _free(settings.listen, "--listen")
    if settings.gc.gate == "proxy":
        environ["PUSHPRUNE_GC__GATE_LISTEN"] = _free(settings.gc.gate_listen, "gc.gate_listen")
    return load_settings(environ=environ)


def _free(listen: str, how: str) -> str:
    """The address, with a free port in place of 0. how: the option or the setting that chooses another one."""
    host, _, port = listen.rpartition(":")
    if port == "0":
        return f"{host}:{free_port()}"
    if reason := why_not_listen(listen_host(listen), int(port)):
        raise ConfigurationError(f"cannot listen on {listen}: {reason}; choose another address with {how}.")
    return listen


def _reached(listen: str) -> str:
    """The URL at which this machine reaches what listens there."""
    host, port = listen_host(listen), listen.rpartition(":")[2]
    host = _THIS_MACHINE.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
