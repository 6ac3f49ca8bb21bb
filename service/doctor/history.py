"""Check that the events of all repositories are kept for as long as other parts of pushprune look back."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.finding import Finding, fine, warning

_NAME = "history"
# A chart of the overview shows a week; collections and their check of pushes take hours at most.
_WEEK_S = 7 * 86_400
_BYTES_PER_EVENT = 200


def check(case: Case) -> Iterator[Finding]:
    """Report how far back the events of all repositories reach, and warn if they are dropped within a week."""
    store, bounds = case.wiring.store, case.wiring.settings.history
    oldest_ms = store.archive.dropped_until_ms(None)
    if oldest_ms is None:
        yield fine(_NAME, "no event was dropped")
        return
    back_s = max(1.0, (store.connection.now_ms() - oldest_ms) / 1000)
    reach = f"{back_s / 86_400:.1f} days" if back_s >= 86_400 else f"{back_s / 3600:.1f} hours"
    # With fewer entries, all that are missing are older than history.max_age.
    if not store.archive.is_full() or back_s >= min(_WEEK_S, bounds.max_age):
        yield fine(_NAME, f"the events of the last {reach} are kept")
        return
    more = round(bounds.events * min(10.0, 2 * _WEEK_S / back_s))
    sentence = (
        f"only the events of the last {reach} are kept, because history.events allows {bounds.events:,} of them: "
        "charts show nothing older, and a longer collection cannot check all images that were pushed meanwhile"
    )
    yield warning(_NAME, sentence, f"history: {{events: {more}}}   # about {more * _BYTES_PER_EVENT >> 20} MB of Redis")
