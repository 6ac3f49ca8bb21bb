"""The last findings of the doctor."""

import json

from service.domain.finding import fine
from tests.conftest import MakeWiring


def test_a_report_is_kept_and_the_report_of_another_version_is_ignored(
    make_wiring: MakeWiring,
) -> None:
    wiring = make_wiring()
    assert wiring.store.doctor_reports.last() is None
    wiring.store.doctor_reports.keep([fine("redis", "it answers")], "alice")
    findings = wiring.store.doctor_reports.last()
    assert findings is not None
    assert (findings.findings, findings.by) == ((fine("redis", "it answers"),), "alice")
    client, key = wiring.store.connection.client, wiring.store.connection.keys.of("doctor:last")
    kept = json.loads(str(client.get(key)))
    kept["findings"][0]["since"] = 1
    client.set(key, json.dumps(kept), ex=60)
    assert wiring.store.doctor_reports.last() is None
