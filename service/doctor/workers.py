"""Check that workers run and keep up, and report the troubles that they and the web process recorded."""

from collections.abc import Iterator

from service.collect.readonly import READ_ONLY
from service.collect.verify import BROKEN
from service.doctor.case import ONCE_FIXED, Case
from service.doctor.health import LATE, REGISTRIES, REGISTRY, SLOW, start_line, system_health
from service.doctor.registry import LOGIN, NO_CACHE, NO_DELETES, UPGRADE, WRITABLE
from service.domain.collection.run import STALE
from service.domain.finding import Finding, error, fine, warning
from service.domain.history.lost import is_for_good
from service.prune.batch import SERVED
from service.registry.listing import ABOUT as LISTING
from service.registry.listing import HIDES, STILL_LISTED
from service.webhooks.status import is_about_webhook

_STUCK_S = 600
_DAY_MS = 86_400_000
_QUEUES = ("due", "doomed", "healing")
_FIXES = {
    SLOW: "curl -s http://PUSHPRUNE/metrics | grep registry_request   # which requests are slow",
    "redis clock": "timedatectl set-ntp true   # on the machine of Redis",
    REGISTRIES: 'redis: {prefix: "another:"}   # of all processes for one of the registries, then restart them',
    "reconcile": "pushprune reconcile   # once that is fixed",
    STALE: NO_CACHE,
    READ_ONLY: WRITABLE,
    SERVED: "delete: {via: api}   # or switch that cache off",
}


def check(case: Case) -> Iterator[Finding]:
    """Check that a worker runs for every queue, and that the workers keep up.

    Raises StoreUnavailable if Redis refuses writes: then it does not show which workers run.
    """
    case.wiring.store.connection.pulse()
    health = system_health(case.wiring.store, case.wiring.registry, case.wiring.policies)
    reading, missing = health.reading, tuple(queue for queue, workers in health.queues.items() if not workers)
    waits = f"repositories to plan: {reading.waiting['due']}, to delete from: {reading.waiting['doomed']}"
    for trouble in health.troubles:
        if trouble.about == "workers":
            yield error("workers", trouble.message.partition("; start one")[0] + f" ({waits})", start_line(missing))
    if missing:
        return
    workers, oldest_s = reading.workers, reading.oldest_s
    if any(trouble.about.startswith(LATE) for trouble in health.troubles):
        sentence = f"{workers} workers do not keep up: {waits}, the longest delay is {oldest_s:.0f} s"
        fix = f"{start_line(tuple(health.queues))}   # one more worker, if no other finding explains it"
        yield error("workers", sentence, fix) if oldest_s > _STUCK_S else warning("workers", sentence, fix)
    else:
        each = ", ".join(f"{queue} {count}" for queue, count in health.queues.items())
        yield fine("workers", f"{workers} {'worker runs' if workers == 1 else 'workers run'} ({each}), no backlog")


def check_troubles(case: Case) -> Iterator[Finding]:
    """Report open troubles, and events of the last day that were rejected."""
    has_findings = False
    for trouble in case.wiring.store.outbox.troubles():
        if trouble.about == REGISTRY or is_about_webhook(trouble.about):
            # The checks of the registry and of webhooks report these with today's answer.
            continue
        has_findings = True
        yield error("troubles", f"{trouble.about}: {trouble.message}", _remedy(trouble.about, trouble.message))
    for trouble in system_health(case.wiring.store, case.wiring.registry, case.wiring.policies).troubles:
        if trouble.about == "unannounced":
            has_findings = True
            yield warning(
                "troubles", trouble.message, "storage: {path: /var/lib/registry}   # then: pushprune reconcile"
            )
    for rejected in case.wiring.store.archive.rejected(1):
        if rejected.at_ms > case.wiring.store.connection.now_ms() - _DAY_MS:
            has_findings = True
            key = case.wiring.store.connection.keys.of("rejected")
            sentence = f"events were rejected, the last of them: {rejected.reason}"
            yield warning("troubles", sentence, f"redis-cli XREVRANGE {key} + - COUNT 5   # shows them with the reason")
    if not has_findings:
        yield fine("troubles", "no open troubles")


def _remedy(about: str, message: str) -> str:
    """Return what to do about a trouble.

    Args:
        about: the name of the trouble: `notifications`, `garbage`, `lost R:TAG`, `part R@DIGEST`, `<queue> R`, ….
    """
    kind, _, name = about.partition(" ")
    if "storage: delete: enabled: true" in message:
        return NO_DELETES
    if kind == "notifications":
        return 'headers: {Authorization: ["Bearer <tokens.notify>"]}   # of the endpoint in the registry\'s config.yml'
    if fix := _FIXES.get(about):
        return fix
    if about == LISTING:
        return UPGRADE if message == HIDES else LOGIN
    if about.startswith(STILL_LISTED):
        return "delete: {via: storage}   # with storage.url of the registry's bucket; or upgrade the registry to 3"
    if kind == "garbage":
        return "pushprune gc --now   # once that is fixed"
    if kind == "part":
        return f"pushprune restore {name}   # or push the image again"
    if about.startswith(BROKEN) or (kind == "lost" and is_for_good(message)):
        return f"docker push REGISTRY/{name}   # by someone who has the image"
    if kind == "lost":
        return f"pushprune restore {name}   # once that is fixed; pushprune also retries by itself"
    return f"pushprune prune {name}   # retries, once that is fixed" if kind in _QUEUES else ONCE_FIXED
