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
from service.local.ports import free_port, reached, why_not_listen
from service.local.redis_server import RedisServer
from service.local.sign_in import LIFE_S, sign_in_link
from service.local.supervisor import Supervisor, stopping_on_signals
from service.local.tokens import NAMES, create_tokens, private
from service.local.transcript import Transcript
from service.settings import Settings, load_settings
from service.settings.kinds import listen_host
from service.store.schema import SchemaWatch
from service.wiring import wire

SPEAKERS = ("redis", "web", "gate", "worker", "registry")
# Redis loads its data before it answers, and a long history takes minutes.
_REDIS_PATIENCE_S = 300.0
_READY_PATIENCE_S = 60.0
# When the system before was killed, the kernel frees its directory a moment before its ports.
_PORT_S = 1.0
_POLL_S = 0.05

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
class UpOptions:
    """The options of the command line; None for an option that was not given.

    Attributes:
        applies_first_plan: with `keep_last`, the first clean-up of a repository waits for no approval.
        needs_registry: False if the system may run without the address of a registry.
        more: further PUSHPRUNE_ variables.
    """

    registry: str | None = None
    listen: str | None = None
    data: Path | None = None
    config: Path | None = None
    keep_last: int | None = None
    applies_first_plan: bool = False
    needs_registry: bool = True
    more: Mapping[str, str] = field(default_factory=dict)

    def environ(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the children, with these options as settings."""
        config = self.config or inherited.get("PUSHPRUNE_CONFIG")
        overrides = {
            "PUSHPRUNE_CONFIG": os.path.abspath(config) if config else None,
            "PUSHPRUNE_REGISTRY__URL": self.registry,
            "PUSHPRUNE_LISTEN": self.listen,
            "PUSHPRUNE_DATA_DIR": self.data and str(self.data),
            **self.more,
        }
        return {**inherited, **{name: value for name, value in overrides.items() if value}}


@dataclass(frozen=True)
class PreparedSystem:
    """A system that is prepared and not started yet: valid settings, and the environment of the children.

    Attributes:
        announced: True if the lines for the registry are the same as at the last start.
    """

    settings: Settings
    environ: Mapping[str, str]
    redis: RedisServer | None
    held_fds: tuple[int, ...]
    announced: bool = False

    @property
    def address(self) -> str:
        """The URL at which this machine reaches the web process."""
        return reached(self.settings.listen)

    @property
    def has_gate(self) -> bool:
        """True if a gate process belongs to the system."""
        return self.settings.gc.gate == "proxy"

    @property
    def notifications(self) -> str:
        """The block for the registry's config.yml."""
        token = self.settings.tokens.notify
        return snippet.notifications(snippet.address(self.settings), token.get_secret_value() if token else "")

    def sign_in_link(self) -> str:
        """Return a link that signs a browser in to the dashboard, once."""
        return sign_in_link(wire(self.settings, patient=True).store, self.settings, self.address)

    def start(self, supervisor: Supervisor, report: Callable[[str], None] | None = None) -> None:
        """Start Redis, then the processes of the service, and wait until all answer.

        Args:
            report: called with a sentence for each problem that does not prevent the start.

        Raises:
            NotReady: a process did not answer in time.
            ChildKeepsDying: a process ended again and again.
            ConfigurationError: the policy file is invalid, and Redis has no policy of an earlier start.
        """
        self.start_redis(supervisor)
        self.start_service(supervisor, report)

    def start_redis(self, supervisor: Supervisor) -> None:
        """Start Redis, and wait until it answers. Raises as `start`."""
        url = str(self.settings.redis.address)
        if self.redis:
            supervisor.start(self.redis.child(self.environ, self.held_fds))
        patience_s = _REDIS_PATIENCE_S if self.redis else _READY_PATIENCE_S
        failure = f"Redis at {redis_server.shown(url)} does not answer"
        processes.until(lambda: redis_server.is_up(url), failure, patience_s=patience_s, meanwhile=supervisor.check)
        # An older store is migrated here, before anything reads it. The children watch the store: a watch in this
        # process would report that Redis is away when all end.
        SchemaWatch(wire(self.settings, patient=True, migrates=True).store.connection).wait()

    def start_service(self, supervisor: Supervisor, report: Callable[[str], None] | None = None) -> None:
        """Start web, worker and gate, and wait until they answer. `report` and errors: as for `start`."""

        def wait_for(condition: processes.Condition, failure: str) -> None:
            processes.until(condition, failure, patience_s=_READY_PATIENCE_S, meanwhile=supervisor.check)

        if (complaint := self.policy_complaint()) and report:
            report(f"warning: {complaint}")
        started = time.monotonic()
        supervisor.start(processes.web(self.environ, self.held_fds))
        supervisor.start(processes.worker(self.environ, self.held_fds))
        if self.has_gate:
            supervisor.start(processes.gate(self.environ, self.held_fds))
        outbox = wire(self.settings, patient=True).store.outbox

        def ready() -> bool:
            """True if web and worker answer. Signs of life that the last start's worker left are not counted."""
            return processes.is_ready(self.address) and outbox.workers(within_s=time.monotonic() - started) > 0

        wait_for(ready, f"{self.address} is not ready")
        if self.has_gate:
            gate = reached(self.settings.gc.gate_listen)
            wait_for(lambda: processes.is_alive(gate), f"the gate at {gate} does not answer")

    def policy_complaint(self) -> str | None:
        """Return the fault of the policy file if the policy of an earlier start remains in force; None for no fault.

        Raises ConfigurationError if there is no earlier policy either.
        """
        policies = wire(self.settings, patient=True).policies
        if policies.current() is None and policies.error:
            raise ConfigurationError(policies.error)
        return policies.complaint

    def registry_trouble(self) -> str | None:
        """Return a sentence if the registry does not answer or refuses the login, else None."""
        try:
            wire(self.settings, patient=True).registry.client.ping()
        except PushpruneError as error:
            return str(error)
        return None


@contextmanager
def prepared(options: UpOptions, inherited: Mapping[str, str] | None = None) -> Iterator[PreparedSystem]:
    """Claim the data directory for as long as the block lasts, and prepare everything in it.

    Raises ConfigurationError or DirectoryInUse with one sentence, before anything is started.
    """
    environ = options.environ(os.environ if inherited is None else inherited)
    # The data directory is a setting, and the tokens are created in it. A public `listen` needs tokens, so this first
    # reading uses a local address.
    first_look = load_settings(environ=environ, listen="127.0.0.1:8080", registry={"url": options.registry})
    if options.needs_registry and not first_look.registry.url:
        raise ConfigurationError("the registry's address is missing: give it with --registry http://HOST:PORT")
    if options.keep_last and first_look.policy:
        raise ConfigurationError("--keep-last is a policy, and the settings have another: give only one of them")
    with DataDirectory(first_look.data_dir) as directory:
        environ["PUSHPRUNE_DATA_DIR"] = str(directory.path)
        missing = [name for name in NAMES if getattr(first_look.tokens, name) is None]
        files = create_tokens(directory.path / "tokens", missing)
        environ |= {f"PUSHPRUNE_TOKENS__{name.upper()}_FILE": str(file) for name, file in files.items()}
        redis = _redis(first_look, directory.path, environ)
        if options.keep_last:
            first_plan = "apply" if options.applies_first_plan else "hold"
            written = KEEP_LAST.format(count=options.keep_last, first_plan=first_plan)
            private(directory.path / "policy.yaml", written)
            environ["PUSHPRUNE_POLICY"] = str(directory.path / "policy.yaml")
        if first_look.log.format == "auto":
            # The children write into a pipe, where "auto" means JSON; but a person reads their lines.
            environ["PUSHPRUNE_LOG__FORMAT"] = "console"
        environ = secrets_in_files(directory.path, environ)
        settings = _with_free_addresses(environ)
        system = PreparedSystem(settings, environ, redis, (directory.children_fd,))
        block = directory.path / "notifications.yml"
        announced = block.exists() and block.read_text() == system.notifications
        private(block, system.notifications)
        keep_environment(directory.path, environ)
        yield replace(system, announced=announced)


def up(options: UpOptions, transcript: Transcript) -> None:
    """Run everything until SIGINT or SIGTERM. Raises a PushpruneError with one sentence when it cannot."""
    supervisor = Supervisor(transcript)
    with prepared(options) as system, stopping_on_signals(supervisor), supervisor:
        try:
            _introduce(system, transcript)
            system.start(supervisor, transcript.say)
            transcript.say(f"ready at {system.address}, keeping {system.settings.registry.url} small")
            transcript.say(_sign_in_hint(system, transcript))
            if trouble := system.registry_trouble():
                transcript.say(f"warning: {trouble}")
            supervisor.wait()
        except KeyboardInterrupt:
            transcript.say("stopping; Ctrl-C again kills at once")


def _sign_in_hint(system: PreparedSystem, transcript: Transcript) -> str:
    data_dir = system.settings.data_dir
    if not transcript.is_terminal:
        # Other people can read a stored log, and a fresh link signs its first reader in.
        return (
            f"to open the dashboard: `pushprune sign-in --data {data_dir}` prints a link; "
            f"the tokens are in {data_dir / 'tokens'}"
        )
    return (
        f"open the dashboard: {system.sign_in_link()} (works once, for {LIFE_S // 60} minutes; "
        f"`pushprune sign-in --data {data_dir}` prints another)"
    )


def _introduce(system: PreparedSystem, transcript: Transcript) -> None:
    data_dir = system.settings.data_dir
    if not system.announced and not transcript.is_terminal:
        # Other people can read a stored log (journald, docker logs), and these lines contain the token.
        transcript.say(f"add the lines in {data_dir / 'notifications.yml'} to the registry's config.yml and restart it")
        transcript.plain(snippet.DELETE_HINT)
    elif not system.announced:
        transcript.say("add this to the registry's config.yml and restart the registry:")
        transcript.plain(f"\n{system.notifications}{snippet.DELETE_HINT}\n")
    else:
        transcript.say(f"the lines for the registry's config.yml are in {data_dir / 'notifications.yml'}")
    if system.settings.policy is None:
        transcript.say("no policy is set: nothing will be deleted until one is given (--keep-last N, or a policy file)")


def _redis(settings: Settings, directory: Path, environ: dict[str, str]) -> RedisServer | None:
    """Prepare the embedded Redis; returns None if the settings or REDIS_URL name another."""
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


def _free(listen: str, option: str) -> str:
    """Return the address, with a free port instead of 0.

    Args:
        listen: HOST:PORT.
        option: the option or setting that changes the address, for the error's sentence.
    """
    host, _, port = listen.rpartition(":")
    if port == "0":
        return f"{host}:{free_port()}"
    end_s = time.monotonic() + _PORT_S
    while (reason := why_not_listen(listen_host(listen), int(port))) and time.monotonic() < end_s:
        time.sleep(_POLL_S)
    if reason:
        raise ConfigurationError(f"cannot listen on {listen}: {reason}; choose another address with {option}")
    return listen
