"""/metrics: the state of the system, for Prometheus.

Every figure is read from Redis at the time of the request, and none is kept in this process. So every web process
answers with the same figures, no counter restarts at zero with a process, workers need no port of their own, and no
shared directory is needed, as it is for prometheus-client's multiprocess mode. The only exception is the policy: each
process reads the same policy file on its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from flask import Blueprint, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from service import __version__
from service.collect.status import past, queued
from service.doctor.health import Health, check_recording, system_health
from service.domain.collection.run import STALE, Run
from service.domain.metrics import TIMED, Metered, Timing
from service.reconcile.status import overview as reconcile_status
from service.registry import Registry
from service.reports.activity import oldest_event_ms
from service.reports.usage import current_usage
from service.settings import PolicySource, Settings
from service.store import Store
from service.web.access import refusal
from service.webhooks.status import about, webhook_states

_ACTIONS = ("push", "pull", "mount", "delete")
_COUNTED = {
    "rejected": "rejected events",
    "duplicate": "events that were received more than once",
    "restored": "restored images",
    "healed": "tags and parts that a race had deleted and pushprune restored",
    "lost": "tags that a race deleted and that could not be restored",
    "forgotten": "manifests without a tag that were forgotten, because their repositories had too many of them",
    "own": "events that pushprune itself caused",
    "blob": "events about layers and configs",
}
_RESULTS = ("done", "failed", "postponed", "dry run", "undeletion")
_RUNS = 20
_GATE_STATES = ("open", "draining", "closed", "claiming", "manifests")
_RULE = "rule "
_NAMES = {"duplicate": "duplicates", "own": "own_events", "blob": "blob_events", "forgotten": "untagged_forgotten"}


def blueprint(store: Store, registry: Registry, settings: Settings, policies: PolicySource) -> Blueprint:
    """Return the route that Prometheus scrapes."""
    pages = Blueprint("metrics", __name__)
    figures = Scrape(store, registry, settings, policies)

    @pages.get("/metrics")
    def metrics() -> Response:
        if refused := refusal(settings, "read"):
            return refused
        # A full Redis can still be read: without this, only the missing signs of workers would be seen.
        check_recording(store)
        return Response(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return pages


class Scrape:
    """A collector for prometheus-client. `collect` raises StoreUnavailable if Redis is not available."""

    def __init__(self, store: Store, registry: Registry, settings: Settings, policies: PolicySource) -> None:
        self._store, self._registry, self._settings, self._policies = store, registry, settings, policies

    def collect(self) -> Iterator[Metric]:
        """Yield every figure, as read now."""
        now = system_health(self._store, self._registry, self._policies)
        reading = now.reading
        yield _labelled(
            CounterMetricFamily(
                "pushprune_events", "events about images that the registry reported", labels=["action"]
            ),
            {action: reading.counters.get(action, 0) for action in _ACTIONS},
        )
        for name, meaning in _COUNTED.items():
            count = reading.counters.get(name, 0)
            yield CounterMetricFamily(f"pushprune_{_NAMES.get(name, name)}", meaning, value=count)
        yield _labelled(
            GaugeMetricFamily("pushprune_backlog_repositories", "repositories in a queue", labels=["queue"]),
            reading.waiting,
        )
        yield _gauge("backlog_oldest_seconds", "longest delay of a repository in a queue", reading.oldest_s)
        yield _labelled(
            GaugeMetricFamily(
                "pushprune_queue_oldest_seconds", "longest delay of a repository, by queue", labels=["queue"]
            ),
            reading.late_s,
        )
        yield _labelled(
            CounterMetricFamily("pushprune_pruned", "deleted tags and manifests, by rule", labels=["rule"]),
            {_by(name): count for name, count in reading.counters.items() if name.startswith(_RULE)},
        )
        yield InfoMetricFamily("pushprune_build", "the running version", {"version": __version__})
        yield _gauge("restorable", "deletions that can still be undone", now.restorable)
        help_text = "plans that wait for approval and were not rejected"
        yield _gauge("held_repositories", help_text, len(now.holds))
        yield _gauge("workers", "workers seen within the last 10 s", reading.workers)
        yield _labelled(
            GaugeMetricFamily("pushprune_queue_workers", "workers that consume a queue of messages", labels=["queue"]),
            now.queues,
        )
        if now.registry is not None:
            yield _gauge("registry_up", "1 while the registry is reachable and accepts the login", now.registry)
        yield _gauge("troubles", "problems that an operator must fix; /readyz lists them", len(now.troubles))
        yield _gauge("repositories", "known repositories", reading.repositories)
        if usage := current_usage(self._store):
            help_text = "storage used by images, by the first part of repository names; each blob counts once"
            family = GaugeMetricFamily("pushprune_storage_bytes", help_text, labels=["prefix"])
            yield _labelled(family, usage.bands)
            yield _gauge("storage_unsized_tags", "tags of unknown size, which this leaves out", usage.unknown)
        if reading.last_event_ms is not None:
            help_text = "time of the newest entry of the history"
            yield _gauge("last_event_timestamp_seconds", help_text, reading.last_event_ms / 1000)
        if (oldest_ms := oldest_event_ms(self._store)) is not None:
            help_text = "time of the oldest event that is kept; absent: none was dropped"
            yield _gauge("oldest_event_timestamp_seconds", help_text, oldest_ms / 1000)
        yield from self._metered(reading.counters)
        yield from self._policy()
        yield from self._collections(now)
        yield from self._gate(now)
        yield from self._reconciliation()
        yield from self._webhooks(now)

    def _metered(self, counters: Mapping[str, int]) -> Iterator[Metric]:
        """Yield the counts and times that processes measure; workers add theirs to Redis twice a second.

        counters: those that Redis changes in the same script as the record of a deletion.
        """
        # The counts of this process that are not yet in Redis belong to the answer, too.
        self._store.meter.flush()
        metered = self._store.meter.read()
        for name, label, meaning, known in (
            ("plans", "result", "plans, by result", ("doomed", "manual", "dry_run", "held", "none", "stale")),
            ("deletes", "result", "deletions, by result", ("spared", "vanished")),
            ("failures", "queue", "failed attempts", ("due", "doomed")),
        ):
            values = {value: metered.counts.get((name, value), 0) for value in known}
            if name == "deletes":
                values |= {value: counters.get(value, 0) for value in ("deleted", "untagged")}
            yield _labelled(CounterMetricFamily(f"pushprune_{name}", meaning, labels=[label]), values)
        help_text = "from the latest push of a repository to the deletion of the images that it displaced"
        # This histogram has no labels, so it can exist, with zeros, before the first measurement.
        yield _timed(
            "push_to_deletion_seconds",
            help_text,
            (),
            _of(metered, "push_to_deletion") or {"": Timing(dict.fromkeys(TIMED["push_to_deletion"], 0))},
        )
        help_text = "duration of requests to the registry"
        yield _timed("registry_request_seconds", help_text, ("method", "status"), _of(metered, "registry_request"))
        help_text = "time that writes waited at the gate"
        yield _timed("gate_wait_seconds", help_text, ("result",), _of(metered, "gate_wait"))

    def _gate(self, now: Health) -> Iterator[Metric]:
        gate = now.gate
        state = gate.state if gate else "open"
        yield _labelled(
            GaugeMetricFamily("pushprune_gate", "1 for the current state of the write gate", labels=["state"]),
            {name: int(name == state) for name in _GATE_STATES},
        )
        if now.gate_processes is not None:
            yield _gauge("gate_processes", "gate processes seen within the last 10 s", now.gate_processes)
        if gate:
            yield _gauge("gate_since_timestamp_seconds", "start of draining or closing", gate.since_ms / 1000)

    def _webhooks(self, now: Health) -> Iterator[Metric]:
        states = webhook_states(self._store, self._settings.webhooks)
        if not states:
            return
        now_ms = now.reading.now_ms
        for name, meaning, values in (
            ("sent_events", "events that the receiver took", {name: of.sent for name, of in states.items()}),
            ("dropped_events", "events that were given up", {name: of.dropped for name, of in states.items()}),
            ("failures", "failed attempts to send", {name: of.failed for name, of in states.items()}),
        ):
            family = CounterMetricFamily(f"pushprune_webhook_{name}", meaning, labels=["webhook"])
            yield _labelled(family, values)
        # If no worker can read a file of the webhook, nothing is attempted: the trouble has the time since when.
        troubles = {trouble.about: trouble.at_ms for trouble in now.troubles}
        failing = {name: of.since_ms or troubles.get(about(name), 0) for name, of in states.items()}
        for name, meaning, figures in (
            ("waiting_events", "events that wait", {name: of.waiting for name, of in states.items()}),
            (
                "oldest_seconds",
                "age of the oldest event",
                _ages({name: of.oldest_ms for name, of in states.items()}, now_ms),
            ),
            (
                "failing_seconds",
                "how long nothing could be sent; 0 if the last attempt succeeded",
                _ages(failing, now_ms),
            ),
        ):
            gauge = GaugeMetricFamily(f"pushprune_webhook_{name}", meaning, labels=["webhook"])
            yield _labelled(gauge, figures)

    def _reconciliation(self) -> Iterator[Metric]:
        seen = reconcile_status(self._store, self._registry, self._settings)
        last = seen.last
        yield _gauge("reconcile_running", "1 while a reconcile run is in progress", seen.running is not None)
        if last is None:
            return
        yield _gauge("reconcile_last_timestamp_seconds", "end of the last reconcile run", last.at_ms / 1000)
        yield _gauge("reconcile_last_seconds", "duration of the last reconcile run", last.took_ms / 1000)
        yield _gauge("reconcile_last_drift_tags", "tags in which the history differed", last.changed)
        yield _gauge("reconcile_last_failed_repositories", "repositories that could not be compared", last.failed)

    def _policy(self) -> Iterator[Metric]:
        policies = self._policies
        policy = policies.current()
        yield _gauge("policy_in_force", "1 while a policy is in force", policy is not None)
        yield _gauge("policy_invalid", "1 while the policy file is invalid", policies.error is not None)
        if policy is not None:
            yield InfoMetricFamily("pushprune_policy", "the policy in force", {"digest": policies.digest})

    def _collections(self, now: Health) -> Iterator[Metric]:
        runs, totals = past(self._store, _RUNS)
        yield _labelled(
            CounterMetricFamily("pushprune_collections", "garbage collections, by result", labels=["result"]),
            {result: totals.runs.get(result, 0) for result in _RESULTS},
        )
        yield CounterMetricFamily("pushprune_collected_blobs", "blobs that collections deleted", value=totals.blobs)
        help_text = "bytes that collections freed, as far as known"
        yield CounterMetricFamily("pushprune_collected_bytes", help_text, value=totals.size_bytes)
        yield _gauge("collection_queued", "1 while a collection is queued", queued(self._store) is not None)
        yield _gauge("collection_running", "1 while a collection is running", now.collection is not None)
        help_text = "1 while the registry reports deleted blobs as existing: no push is safe"
        yield _gauge("collection_stale_cache", help_text, any(trouble.about == STALE for trouble in now.troubles))
        if totals.done_ms is not None:
            yield _gauge("collection_last_success_timestamp_seconds", "end of the last success", totals.done_ms / 1000)
        if totals.took_ms is not None:
            last = next((run for run in runs if run.result == "done"), Run(0, 0, "done", ""))
            yield _gauge("collection_last_closed_seconds", "time that it had the gate closed", last.closed_ms / 1000)
            help_text = "longest time for which an online collection made requests for a blob wait"
            yield _gauge("collection_last_hold_seconds", help_text, last.held_ms / 1000)
            yield _gauge("collection_last_unlinked_blobs", "blobs that it unlinked", last.unlinked)
            yield _gauge("collection_quarantine_bytes", "size of the quarantine after it", last.quarantined_bytes)
            yield _gauge("collection_last_seconds", "duration of the last success", totals.took_ms / 1000)


def _of(metered: Metered, name: str) -> dict[str, Timing]:
    return {label: timing for (timed, label), timing in sorted(metered.timings.items()) if timed == name}


def _timed(name: str, meaning: str, labels: Sequence[str], timings: Mapping[str, Timing]) -> Metric:
    """Return a histogram.

    Args:
        name: the name of the metric, without `pushprune_`.
        timings: the measurements, by the values of the labels, separated by spaces.
    """
    family = HistogramMetricFamily(f"pushprune_{name}", meaning, labels=labels)
    for values, timing in timings.items():
        ends = [str(float(end)) for end in timing.counts] + ["+Inf"]
        # Prometheus expects in each bucket the count of all smaller buckets as well.
        counts = accumulate([*timing.counts.values(), timing.more])
        family.add_metric(values.split(), list(zip(ends, counts, strict=True)), timing.sum_s)
    return family


def _by(counter: str) -> str:
    return counter.removeprefix(_RULE) or "(manual)"


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pushprune_{name}", meaning, value=value)


def _ages(since_ms: Mapping[str, int | None], now_ms: int) -> dict[str, float]:
    """Return name → seconds since that time; 0 if there is none."""
    return {name: max(0, now_ms - at_ms) / 1000 if at_ms else 0 for name, at_ms in since_ms.items()}


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    """Add one sample for each value to the family, and return the family. values: by label."""
    for label, value in values.items():
        family.add_metric([label], value)
    return family
