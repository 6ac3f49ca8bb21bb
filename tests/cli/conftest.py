"""Run the command line as a user does."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.support.verbs import answer

Call = Callable[..., tuple[int, str, str]]


def said(call: Call, *arguments: str) -> tuple[int, str]:
    """The exit code, and standard output and error in one text."""
    code, output, error = call(*arguments)
    return code, output + error


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """call(*arguments) -> exit code, standard output, standard error."""
    return partial(answer, capsys)
