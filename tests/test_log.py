"""Logging: what is logged shows no values of variables, and is no part of an answer."""

import json
import subprocess
import sys
from typing import Literal

import pytest
import structlog

from service import log


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_in_the_log_shows_no_values(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(form)
    structlog.configure(cache_logger_on_first_use=False, logger_factory=structlog.PrintLoggerFactory())
    password = "hunter2" + "-secret"
    try:
        int("not a number" if password else "")
    except ValueError:
        structlog.get_logger().exception("it failed")
    message = capsys.readouterr().out
    assert "it failed" in message
    assert "ValueError" in message
    assert "hunter2-secret" not in message


def test_log_lines_before_the_settings_are_read_are_no_part_of_the_answer() -> None:
    code = "from service.log import log; log.warning('no traces are sent')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "no traces are sent" in done.stderr


def test_a_message_of_a_library_is_one_event_in_the_format_of_the_log() -> None:
    code = (
        "import logging; from service import log; log.configure('json')\n"
        "try:\n    int('hunter2-secret'[8:])\nexcept ValueError:\n"
        "    logging.getLogger('celery').error('Cannot connect to %s.\\nTrying again\\n', 'redis', exc_info=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"]) == ("Cannot connect to redis. Trying again", "error")
    assert entry["exception"][0]["exc_type"] == "ValueError"
