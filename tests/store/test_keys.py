"""Every key that the code, the scripts and the tests name is described in keys.py."""

import re
from collections.abc import Iterator
from pathlib import Path

from service.dispatch import QUEUES
from service.store import keys
from tests.support.schema import DESCRIBED, ROWS

ROOT = Path(__file__).parents[2]


def named() -> Iterator[tuple[str, bool]]:
    for folder in ("service", "workers", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for name, more in re.findall(r'keys\.of\(\s*"([a-z_:]+)"([,)])', path.read_text(encoding="utf-8")):
                yield name, more == ","


def test_every_key_is_described_once() -> None:
    assert len(ROWS) == len(DESCRIBED) > 90


def test_every_key_in_the_code_is_described() -> None:
    assert set(named()) - DESCRIBED <= {(queue, False) for queue in QUEUES.values()}


def test_a_key_of_a_repository_is_not_one_of_all() -> None:
    made = keys.Keys("p:")
    assert (made.of("doomed"), made.of("doomed", "shop/api")) == ("p:doomed", "p:doomed:shop/api")
    assert made.of("seen", 0) == "p:seen:0"
