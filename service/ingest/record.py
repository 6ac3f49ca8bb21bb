"""Record the notifications of a registry, and send the work that follows from them."""

from service.dispatch import Dispatch
from service.domain.events import Envelope
from service.settings import PolicySource
from service.store import Store
from service.store.ingest import RecordResult

_MOST_INSTANCES = 64
_NOTHING = RecordResult(events=0, duplicates=0, due=())


class Recorder:
    """Records envelopes. One per process: it remembers which registry instances this process has recorded."""

    def __init__(self, store: Store, policies: PolicySource, dispatch: Dispatch) -> None:
        self._history, self._probes = store.history, store.doctor_probes
        self._policies, self._dispatch = policies, dispatch
        self._instances: set[str] = set()

    def record(self, envelope: Envelope) -> RecordResult:
        """Record one envelope exactly once, and send every repository that is newly due to be planned.

        Raises:
            StoreUnavailable: Redis is away, so nothing was recorded and the registry must send it again.
        """
        word = self._history.word()
        for name, references in envelope.probes(word):
            self._probes.received(name, references=references)
        # Events that our own requests caused tell nothing new, unless they are the first sign of a restarted registry.
        echoes = envelope.echoes(word)
        if echoes and echoes <= self._instances:
            return _NOTHING
        if envelope.has_pulls and (policy := self._policies.current()):
            envelope = envelope.discounting(policy.ignores_pull)
        recorded = self._history.record(envelope)
        if len(self._instances) > _MOST_INSTANCES:
            self._instances.clear()
        self._instances.update(event.instance for event in envelope.events)
        for repository in recorded.due:
            self._dispatch.enforce(repository)
        return recorded
