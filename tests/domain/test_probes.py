"""The doctor's probe among the events: known by its User-Agent, and only by the push of its manifest."""

from typing import Any

import pytest

from service.domain.events import BLOB_TYPE
from service.domain.oci.manifest import OCI_MANIFEST
from tests.support.makers import event, understood

WORD = "w0rd-_of-us"
AGENT = f"pushprune/0.1.0 ({WORD}; probe 0123456789abcdef)"


def probes(**changed: Any) -> tuple[tuple[str, bool], ...]:
    made = event(tag=None, useragent=AGENT)
    target = {"mediaType": OCI_MANIFEST, **changed.pop("target", {})}
    return understood(made | changed | {"target": made["target"] | target}).probes(WORD)


def test_the_push_of_its_manifest_is_the_probe() -> None:
    assert probes() == (("0123456789abcdef", False),)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{'0' * 64}", "size": 9}
    assert probes(target={"references": [config]}) == (("0123456789abcdef", True),)


@pytest.mark.parametrize(
    "changed",
    [
        {"target": {"mediaType": BLOB_TYPE}},
        {"action": "pull"},
        {"request": {"useragent": f"docker/27 ({WORD}; probe 0123456789abcdef)"}},
        {"request": {"useragent": "pushprune/0.1.0"}},
        {"request": {"useragent": "pushprune/0.1.0 (probe 0123456789abcdef)"}},
        {"request": {"useragent": "pushprune/0.1.0 (guessed; probe 0123456789abcdef)"}},
        {"request": {"useragent": f"pushprune/0.1.0 ({WORD}; probe 0123456789ABCDEF)"}},
        {"request": {"useragent": f"{AGENT} "}},
    ],
)
def test_an_event_that_differs_in_this_is_no_probe(changed: dict[str, Any]) -> None:
    assert probes(**changed) == ()
