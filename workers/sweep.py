"""Re-send the work that a lost message, a dead worker or a crash left in the outbox."""

from service.clock import now_us
from service.collect import verify
from service.dispatch import Dispatch
from service.domain.history.lost import lost_image
from service.domain.oci.names import is_tag
from service.log import log
from service.prune.policy_change import follow_policy
from service.reconcile import lost_parts
from service.settings import PolicySource
from service.store import Store
from service.wiring import Wiring
from workers.schedule import follow_reconcile_runs, follow_schedule

# A queue of this length keeps the workers busy: more messages would only repeat those that wait.
_QUEUE_ENOUGH = 250
# Repositories that one sweep sends to a queue: half a second of work for one process.
_MOST_SENT = 500
_TRIM_MS = 60_000
_RETIRE_MS = 3_600_000
_INDEX_MS = 3_600_000
_BROKEN_MS = 60_000
_SET_BACK = "redis clock"
_HOUR_US = 3600 * 1_000_000
_LOST_MS = 60_000
_UNSEEN_MS = 60_000
_WEEK_US = 7 * 86_400 * 1_000_000


def sweep(wiring: Wiring) -> None:
    """Send again the work that a lost message, a dead worker or a crash between two writes left in the outbox."""
    _follow_policy(wiring.store, wiring.policies, wiring.dispatch)
    _follow_clock(wiring.store)
    queue = f"{wiring.settings.redis.prefix}enforce"
    if wiring.store.outbox.waiting(queue) < _QUEUE_ENOUGH:
        for repository in (*wiring.store.outbox.overdue("due", _MOST_SENT), *wiring.store.outbox.overdue("healing")):
            wiring.dispatch.enforce(repository)
    queue = f"{wiring.settings.redis.prefix}delete"
    if wiring.store.outbox.waiting(queue) < _QUEUE_ENOUGH:
        for repository in wiring.store.outbox.overdue("doomed"):
            wiring.dispatch.delete(repository)
    queue = f"{wiring.settings.redis.prefix}garbage"
    if wiring.store.outbox.waiting(queue) == 0 and wiring.store.collections.overdue():
        wiring.dispatch.collect()
    _end_losses(wiring.store)
    if wiring.registry.is_configured and wiring.store.leases.elected("broken", _BROKEN_MS):
        verify.end_alarms(wiring.store, wiring.registry)
        lost_parts.end_alarms(wiring.store, wiring.registry)
    if wiring.store.leases.elected("trim", _TRIM_MS):
        wiring.store.trash.drop_before(now_us() - wiring.settings.history.trash * 1_000_000)
        # A clock that is far ahead must not drop everything: the earlier one counts.
        clock_ms = min(wiring.store.connection.now_ms(), now_us() // 1000)
        oldest_ms = clock_ms - wiring.settings.history.max_age * 1000
        if dropped := wiring.store.archive.drop_before(oldest_ms):
            log.info("dropped events and pulls that are older than history.max_age", entries=dropped)
    if wiring.store.leases.elected("retire", _RETIRE_MS):
        for repository in wiring.store.history.retire(wiring.settings.history.trash):
            log.info(
                "an empty repository was removed from the history after history.trash",
                repository=repository,
            )
    if wiring.store.leases.elected("index", _INDEX_MS) and (wrong := wiring.store.catalog.correct_indexes()):
        log.warning("the indexes of repositories were wrong and were corrected", repositories=len(wrong))
    follow_schedule(wiring.store, wiring.registry, wiring.settings)
    if wiring.registry.is_configured:
        if wiring.store.leases.elected("unseen", _UNSEEN_MS) and (unseen := wiring.store.unseen.old()):
            wiring.store.reconcile_runs.request_repositories(
                unseen, "a notification names it, and the registry was not asked about it yet"
            )
        follow_reconcile_runs(wiring)


def _follow_clock(store: Store) -> None:
    """Shorten leases and waiting times if the clock of Redis was set back, and report that for an hour."""
    back_s = store.leases.follow_clock()
    if back_s:
        store.outbox.hasten_healing(store.trash.look_again_ms)
        sentence = (
            f"the clock of Redis was set back by {back_s:.0f} s: leases and waiting times were shortened by as much"
        )
        store.outbox.note_trouble(_SET_BACK, f"{sentence}. Keep that clock right by NTP")
        log.warning(sentence)
    for trouble in store.outbox.troubles():
        if trouble.about == _SET_BACK and now_us() > trouble.at_ms * 1000 + _HOUR_US:
            store.outbox.end_trouble(_SET_BACK)


def _end_losses(store: Store) -> None:
    """End the troubles about lost images that are no longer missed, and check the other images again.

    A tag that is no longer in the history was deleted by its user, or by the policy. A tag that exists again, with any
    digest, ends its trouble when it is checked. After a week without a new push, a lost image is given up.
    """
    lost: dict[str, list[str]] = {}
    for trouble in store.outbox.troubles():
        image = lost_image(trouble.about)
        if image is None:
            continue
        repository, name = image
        is_over = is_tag(name) and not store.history.is_live(repository, name)
        if is_over or now_us() > trouble.at_ms * 1000 + _WEEK_US:
            store.outbox.end_trouble(trouble.about)
        else:
            lost.setdefault(repository, []).append(name)
    if lost and store.leases.elected("lost", _LOST_MS):
        for repository, names in lost.items():
            store.deletions.request_healing(repository, names)


def _follow_policy(store: Store, policies: PolicySource, dispatch: Dispatch) -> None:
    """Plan every repository again once a changed policy is in force."""
    # No plan is made by the new policy before this: a worker that was sent earlier would only wait.
    if follow_policy(store, policies):
        log.info("the policy changed; every repository is planned again")
        # The sweep sends the others, as fast as the workers plan them.
        for repository in store.outbox.first_due(_MOST_SENT):
            dispatch.enforce(repository)
