"""One webhook at work: look at what happened, queue its events, send them one message after the other."""

import time
from collections.abc import Sequence
from itertools import chain

from service.clock import now_us
from service.domain.policy.patterns import compile_patterns
from service.domain.webhooks.event import WebhookEvent
from service.log import log
from service.settings.webhooks import WebhookSettings
from service.store import Store
from service.store.keys import entry_ms
from service.store.webhooks import KEEP_MS, Look, WebhookState
from service.webhooks import compose
from service.webhooks.message import CLOUDEVENT, JSON, chat_message, cloudevent
from service.webhooks.post import Post, PostOutcome, PostResult
from service.webhooks.status import about

FIRST_WAIT_MS = 1000
LONGEST_WAIT_MS = 300_000
_CHAT_PAUSE_MS = 1000
_CHAT_EVENTS = 500
_MOST_REFUSALS = 8
_TROUBLE_MS = 300_000


class Delivery:
    """The delivery of events to one webhook.

    It reads what is recorded anyway: no recording, plan, deletion or collection knows of it.
    """

    def __init__(self, store: Store, webhook: WebhookSettings, source: str) -> None:
        """Read the files of the webhook. Raises ConfigurationError if one of them cannot be used.

        source: names the registry in messages.
        """
        self._store, self._webhook, self._source = store, webhook, source
        self._name = webhook.name
        self._concerns = compile_patterns(webhook.repositories)
        self._post = Post(webhook.receiver())

    def reopen(self) -> None:
        """Send again to a receiver that answered 410, because a worker was started."""
        self._store.webhooks.reopen(self._name)

    def take_over(self) -> None:
        """End the trouble of a worker that could not read the files of the webhook: this worker has read them."""
        if not self._store.webhooks.state(self._name).attempts:
            self._store.outbox.end_trouble(about(self._name))

    def queue_new_events(self) -> None:
        """Queue the events of what happened since the last look. The first look only notes where to begin."""
        store, state = self._store, self._store.webhooks.state(self._name)
        current = compose.event_troubles(store.outbox.troubles())
        troubles = {subject: state.troubles.get(subject, trouble.at_ms) for subject, trouble in current.items()}
        now_ms = store.connection.now_ms()
        if state.look == 0:
            # The ids of entries are times. An import can add older entries later, which are no news either.
            now = str(now_ms)
            store.webhooks.queue(self._name, state, Look(now, now, troubles))
            return
        # After a long pause, events that would be dropped for their age are not even made.
        oldest = str(now_ms - KEEP_MS)
        entries_id, entries = store.archive.after(_later(state.entries_id, oldest), tuple(compose.TYPES))
        runs = store.collection_runs.after(_later(state.runs_id, oldest))
        held, ended = store.webhooks.holds(self._name)
        events = chain(
            compose.of_entries(entries),
            compose.of_runs(run for _, run in runs),
            compose.of_holds(store.approvals.holds(held) if held else ()),
            compose.of_troubles(state.troubles, current, now_us()),
        )
        wanted = sorted(filter(self._wants, events), key=lambda event: event.at_us)
        look = Look(entries_id, runs[-1][0] if runs else state.runs_id, troubles, held, ended)
        store.webhooks.queue(self._name, state, look, wanted)

    def send(self) -> bool:
        """Send the next message, if there is one and its time has come; return True if another may follow at once."""
        store, name = self._store, self._name
        state, now_ms = store.webhooks.state(name), store.connection.now_ms()
        if state.is_gone or not state.waiting or state.until_ms > now_ms:
            return False
        is_chat = self._webhook.format == "slack"
        waiting = store.webhooks.next(name, _CHAT_EVENTS if is_chat else 1, state.message_id)
        if not waiting:
            # The events of the message that was begun are too old by now.
            store.webhooks.begin(name, "")
            return True
        ids, events = [identifier for identifier, _ in waiting], [event for _, event in waiting]
        if state.message_id != ids[-1]:
            store.webhooks.begin(name, ids[-1])
        body, content_type = self._message(events)
        result = self._post.send(events[-1].id, body, content_type, int(time.time()))
        self._note(result, state, ids, store.connection.now_ms())
        return result.outcome is PostOutcome.RECEIVED and not is_chat

    def _message(self, events: Sequence[WebhookEvent]) -> tuple[bytes, str]:
        if self._webhook.format == "slack":
            return chat_message(events, self._source), JSON
        return cloudevent(events[0], self._source), CLOUDEVENT

    def _wants(self, event: WebhookEvent) -> bool:
        is_of_type = not self._webhook.events or event.type in self._webhook.events
        return is_of_type and (not event.repository or self._concerns(event.repository))

    def _note(self, result: PostResult, state: WebhookState, ids: Sequence[str], now_ms: int) -> None:
        store, name = self._store, self._name
        if result.outcome is PostOutcome.RECEIVED:
            pause_ms = max(_CHAT_PAUSE_MS, self._webhook.every * 1000) if self._webhook.format == "slack" else 0
            store.webhooks.succeeded(name, ids, now_ms + pause_ms)
            if state.attempts:
                log.info("the webhook receives events again", webhook=name)
                store.outbox.end_trouble(about(name))
            return
        is_refused = result.outcome is PostOutcome.NOT_TAKEN
        # The receiver answers: several refused messages must not make those behind them wait longer and longer.
        wait_ms = min(FIRST_WAIT_MS << min(state.refusals if is_refused else state.attempts, 20), LONGEST_WAIT_MS)
        wait_ms = max(wait_ms, round(result.retry_after_s * 1000))
        store.webhooks.failed(name, result.error, now_ms + wait_ms, now_ms, is_refused=is_refused)
        if not state.attempts:
            log.warning("the webhook did not receive an event; it is sent again", webhook=name, error=result.error)
        if result.outcome is PostOutcome.GONE:
            store.webhooks.stop(name)
            self._store.outbox.end_trouble(about(name))
            self._note_trouble(
                f"{result.error} (gone): nothing is sent to it until a worker is started again; remove it"
            )
            return
        if is_refused and state.refusals + 1 >= _MOST_REFUSALS:
            store.webhooks.give_up(name, ids)
            log.error("the webhook does not take an event, which is dropped", webhook=name, error=result.error)
        if state.attempts and now_ms - state.since_ms > _TROUBLE_MS:
            self._note_trouble(f"{result.error}; its events wait for a day at most, and are sent again")

    def _note_trouble(self, message: str) -> None:
        if all(trouble.about != about(self._name) for trouble in self._store.outbox.troubles()):
            log.error("the webhook receives no events", webhook=self._name, error=message)
            self._store.outbox.note_trouble(about(self._name), message)


def _later(identifier: str, other: str) -> str:
    return max(identifier, other, key=entry_ms)
