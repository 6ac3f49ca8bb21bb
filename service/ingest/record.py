"""Record the notifications of a registry, with the work that follows from them."""

import time
from collections.abc import Sequence

from service import tracing
from service.dispatch import plan_message
from service.domain.events import Envelope
from service.settings import PolicySource
from service.store import Store
from service.store.ingest import RecordResult

__all__ = ["RecordResult", "Recorder"]

_MOST_INSTANCES = 64
_NOTHING = RecordResult(events=0, duplicates=0, due=())


class Recorder:
    """A recorder of envelopes. One per process: it remembers which registry instances this process has recorded."""

    def __init__(self, store: Store, policies: PolicySource) -> None:
        self._history, self._probes = store.history, store.doctor_probes
        self._policies = policies
        self._instances: set[str] = set()

    def record(self, envelopes: Sequence[Envelope]) -> tuple[RecordResult, ...]:
        """Record envelopes exactly once, in one atomic call; return the result of each.

        The same call asks the workers to plan each repository that became due.

        Raises:
            StoreUnavailable: Redis is away, so nothing was recorded and the registry must send it again.
        """
        began_ns, word = time.time_ns(), self._history.word()
        results = [_NOTHING] * len(envelopes)
        news = [number for number, envelope in enumerate(envelopes) if self._is_news(envelope, word)]
        if not news:
            return tuple(results)
        recorded = self._history.record_all([self._discounted(envelopes[number]) for number in news], plan_message)
        for number, result in zip(news, recorded, strict=True):
            results[number] = result
            if tracing.is_on():
                _trace(envelopes[number], result, word, began_ns)
        if len(self._instances) > _MOST_INSTANCES:
            self._instances.clear()
        self._instances.update(event.instance for envelope in envelopes for event in envelope.events)
        return tuple(results)

    def _is_news(self, envelope: Envelope, word: str) -> bool:
        """Return False if an envelope contains nothing new; note the doctor's probes in it."""
        if not any(event.is_by_pushprune for event in envelope.events):
            return True
        for name, references in envelope.probes(word):
            self._probes.received(name, references=references)
        # Events of pushprune's own requests are nothing new, unless they are the first sign of a restarted registry.
        echoes = envelope.echoes(word)
        return not (echoes and echoes <= self._instances)

    def _discounted(self, envelope: Envelope) -> Envelope:
        if envelope.has_pulls and (policy := self._policies.current()):
            return envelope.discounting(policy.ignores_pull)
        return envelope


def _trace(envelope: Envelope, result: RecordResult, word: str, began_ns: int) -> None:
    """Make a span of each push of a user that was recorded now."""
    for event, outcome in zip(envelope.events, result.outcomes, strict=True):
        if outcome == "r" and event.action == "push" and not event.is_blob and not event.is_ours(word):
            tracing.received(event.repository, event.tag or "", event.digest or "", event.at_us, began_ns)
