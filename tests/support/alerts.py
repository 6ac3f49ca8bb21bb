"""The alerts of config/prometheus."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.manual import ROOT

ALERTS = ROOT / "config/prometheus/alerts.yml"


def rules() -> Iterator[dict[str, Any]]:
    """Yield every alert."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from group["rules"]
