"""The web and the worker process: run from this project whatever the current directory holds, and waited for."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from service.domain.errors import StoreUnavailable
from service.local import processes
from service.local.processes import NotReady, is_ready, until
from service.local.supervisor import Child

pytestmark = pytest.mark.slow


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of a server that answers /readyz with this status, everything else with 200."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("child", [processes.web({}), processes.worker({})], ids=lambda child: child.name)
def test_a_package_of_our_name_in_the_current_directory_is_not_taken_for_ours(tmp_path: Path, child: Child) -> None:
    for package in ("service", "workers"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise SystemExit('the {package} of somebody else')")
    environ = {"PUSHPRUNE_LISTEN": "nonsense"}
    ended = subprocess.run(child.command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "PUSHPRUNE_LISTEN: this is not HOST:PORT" in ended.stderr + ended.stdout
    assert ended.returncode


def test_no_secret_is_on_a_command_line() -> None:
    environ = {"PUSHPRUNE_TOKENS__ADMIN": "s3cret", "PUSHPRUNE_REDIS__URL": "redis://:s3cret@h/0"}
    for child in (processes.web(environ), processes.worker(environ)):
        assert "s3cret" not in " ".join(child.command)


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (302, False), (404, False)])
def test_only_200_is_ready(status: int, ready: bool) -> None:
    with answering(status) as address:
        assert is_ready(address) is ready


def test_without_a_server_no_process_is_ready() -> None:
    assert not is_ready("http://127.0.0.1:1")


def test_waiting_ends_as_soon_as_the_condition_is_true() -> None:
    answers = iter([False, False, True])
    until(lambda: next(answers), "never", patience_s=60)
    assert list(answers) == []


def test_a_condition_waits_for_a_redis_that_stands_still() -> None:
    answers = iter([StoreUnavailable("Redis does not answer"), None])

    def condition() -> bool:
        if error := next(answers):
            raise error
        return True

    until(condition, "never", patience_s=60)


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(NotReady, match=r"^the web is not there after 0.01 s\.$"):
        until(lambda: False, "the web is not there", patience_s=0.01)


def test_waiting_is_given_up_when_what_is_looked_at_meanwhile_fails() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        until(lambda: False, "never", patience_s=60, meanwhile=fails)
