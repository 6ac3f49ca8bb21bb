"""Makers for tests of verbs."""

from collections.abc import Callable

import pytest

from service.cli.main import main
from tests.conftest import MakeWiring, keep_last
from tests.support.record import event, record

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments) -> exit code, standard output, standard error; over three pushes to shop/api, keep last 2."""
    wiring = make_wiring(policy=keep_last(2))
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (1, 2, 3)))
    redis = wiring.settings.redis
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", str(redis.url))
    monkeypatch.setenv("PUSHPRUNE_REDIS__PREFIX", redis.prefix)
    monkeypatch.setenv("PUSHPRUNE_POLICY", '{"rules": [{"name": "last", "keep": {"last": 2}}]}')
    monkeypatch.delenv("PUSHPRUNE_CONFIG", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        message = capsys.readouterr()
        return int(ended.value.code or 0), message.out, message.err

    return call
