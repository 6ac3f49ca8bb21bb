"""Runs the command line as a user does."""

from collections.abc import Callable

import pytest

from service.cli.main import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """call(*arguments) -> exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        message = capsys.readouterr()
        return int(ended.value.code or 0), message.out, message.err

    return run
