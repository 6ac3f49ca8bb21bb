"""A site for online collections."""

from pathlib import Path

import pytest

from tests.conftest import MakeWiring
from tests.support.online import OnlineSite, make_site


@pytest.fixture
def site(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnlineSite:
    return make_site(make_wiring, tmp_path, monkeypatch)
