"""The command line over three pushes to shop/api, without a process of its own."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from service.cli.main import main
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.support.record import event, record

Run = Callable[..., tuple[int, str, str]]


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def configure(monkeypatch: pytest.MonkeyPatch, wiring: Wiring, keep: int | None = None) -> None:
    """Let the command line find the Redis and the registry of this wiring. keep: the policy keeps the last so many."""
    settings = wiring.settings
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", str(settings.redis.url))
    monkeypatch.setenv("PUSHPRUNE_REDIS__PREFIX", settings.redis.prefix)
    if settings.registry.url:
        monkeypatch.setenv("PUSHPRUNE_REGISTRY__URL", settings.registry.url)
    if keep:
        monkeypatch.setenv("PUSHPRUNE_POLICY", json.dumps({"rules": [{"name": "last", "keep": {"last": keep}}]}))
    monkeypatch.delenv("PUSHPRUNE_CONFIG", raising=False)


@pytest.fixture
def run(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments) -> exit code, standard output, standard error; over three pushes to shop/api, keep last 2."""
    wiring = make_wiring(policy=keep_last(2))
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3)))
    configure(monkeypatch, wiring, keep=2)
    return partial(answer, capsys)
