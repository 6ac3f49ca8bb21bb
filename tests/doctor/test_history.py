"""The events of all repositories: the doctor says if a busy registry drops them early."""

from service.clock import now_us
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.doctor.conftest import one, quick

DAY_MS = 86_400_000


def _keep(wiring: Wiring, *ages_d: float) -> None:
    """Record events of these ages, after one that was dropped."""
    connection = wiring.store.connection
    key, now_ms = connection.keys.of("events"), now_us() // 1000
    for at_ms in (1, *(now_ms - round(age_d * DAY_MS) for age_d in ages_d)):
        connection.client.xadd(key, {"repository": "shop/api"}, id=f"{at_ms}-0")
    connection.client.xtrim(key, maxlen=len(ages_d), approximate=False)


def test_nothing_is_said_before_events_are_dropped(make_wiring: MakeWiring) -> None:
    finding = one("history", quick(make_wiring()))
    assert (finding.severity, finding.message) == ("ok", "no event was dropped")


def test_events_that_reach_back_less_than_a_week_are_a_warning(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(history={"events": 2})
    _keep(wiring, 0.5, 0.1)
    finding = one("history", quick(wiring))
    assert finding.severity == "warning"
    assert "only the events of the last 12.0 hours are kept" in finding.message
    assert finding.fix.startswith("history: {events: 20} ")


def test_events_that_reach_back_a_week_are_enough(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(history={"events": 2})
    _keep(wiring, 8, 0.1)
    finding = one("history", quick(wiring))
    assert (finding.severity, finding.message) == ("ok", "the events of the last 8.0 days are kept")


def test_a_quiet_registry_drops_events_only_by_their_age(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(history={"events": 3})
    _keep(wiring, 0.5, 0.1)
    assert one("history", quick(wiring)).severity == "ok"


def test_a_history_limited_to_one_day_is_no_warning(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(history={"events": 2, "max_age": "1d"})
    _keep(wiring, 1.1, 0.1)
    assert one("history", quick(wiring)).severity == "ok"
