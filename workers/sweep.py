"""Re-send the work that a lost message, a dead worker or a crash left in the outbox."""

from service.clock import now_us
from service.collect import verify
from service.domain.history.lost import lost_image
from service.domain.oci.names import is_tag
from service.log import log
from service.prune.policy_change import hold_change
from service.reconcile import lost_parts
from service.wiring import Wiring
from workers.schedule import follow_schedule, follow_walks

# A queue of this length keeps the workers busy: more messages would only repeat those that wait.
_QUEUE_ENOUGH = 100
_TRIM_MS = 60_000
_RETIRE_MS = 3_600_000
_BROKEN_MS = 60_000
_SET_BACK = "redis clock"
_HOUR_US = 3600 * 1_000_000
_LOST_MS = 60_000
_UNSEEN_MS = 60_000
_WEEK_US = 7 * 86_400 * 1_000_000


def sweep(wiring: Wiring) -> None:
    """Send again the work that a lost message, a dead worker or a crash between two writes left in the outbox."""
    _follow_policy(wiring)
    _follow_clock(wiring)
    queue = f"{wiring.settings.redis.prefix}enforce"
    if wiring.outbox.waiting(queue) < _QUEUE_ENOUGH:
        for repository in (*wiring.outbox.overdue("due"), *wiring.outbox.overdue("healing")):
            wiring.dispatch.enforce(repository)
    queue = f"{wiring.settings.redis.prefix}delete"
    if wiring.outbox.waiting(queue) < _QUEUE_ENOUGH:
        for repository in wiring.outbox.overdue("doomed"):
            wiring.dispatch.delete(repository)
    queue = f"{wiring.settings.redis.prefix}garbage"
    if wiring.outbox.waiting(queue) == 0 and wiring.garbage.overdue():
        wiring.dispatch.collect()
    _end_losses(wiring)
    if wiring.registry is not None and wiring.leases.elected("broken", _BROKEN_MS):
        verify.end_alarms(wiring)
        lost_parts.end_alarms(wiring)
    if wiring.leases.elected("trim", _TRIM_MS):
        wiring.trash.drop_before(now_us() - wiring.settings.history.trash * 1_000_000)
    if wiring.leases.elected("retire", _RETIRE_MS):
        for repository in wiring.history.retire(wiring.settings.history.trash):
            log.info("removed from the history: the repository was empty for long", repository=repository)
    follow_schedule(wiring)
    if wiring.registry is not None:
        if wiring.leases.elected("unseen", _UNSEEN_MS) and (unseen := wiring.history.unseen()):
            wiring.walks.request_repositories(unseen, "named by notifications, and not seen at the registry yet")
        follow_walks(wiring)


def _follow_clock(wiring: Wiring) -> None:
    """Shorten leases and waiting times if the clock of Redis was set back, and report that for an hour."""
    back_s = wiring.leases.follow_clock()
    if back_s:
        wiring.outbox.hasten_healing(wiring.trash.look_again_ms)
        sentence = (
            f"the clock of Redis was set back by {back_s:.0f} s: leases and waiting times were shortened by as much"
        )
        wiring.outbox.note_trouble(_SET_BACK, f"{sentence}. Keep that clock right by NTP")
        log.warning(sentence)
    for trouble in wiring.outbox.troubles():
        if trouble.about == _SET_BACK and now_us() > trouble.at_ms * 1000 + _HOUR_US:
            wiring.outbox.end_trouble(_SET_BACK)


def _end_losses(wiring: Wiring) -> None:
    """End the troubles about lost images that are no longer missed, and check the other images again.

    A tag that is no longer in the history was deleted by its user, or by the policy. A tag that exists again, with any
    digest, ends its trouble when it is checked. After a week without a new push, a lost image is given up.
    """
    lost: dict[str, list[str]] = {}
    for trouble in wiring.outbox.troubles():
        image = lost_image(trouble.about)
        if image is None:
            continue
        repository, name = image
        is_over = is_tag(name) and not wiring.history.is_live(repository, name)
        if is_over or now_us() > trouble.at_ms * 1000 + _WEEK_US:
            wiring.outbox.end_trouble(trouble.about)
        else:
            lost.setdefault(repository, []).append(name)
    if lost and wiring.leases.elected("lost", _LOST_MS):
        for repository, names in lost.items():
            wiring.removals.request_healing(repository, names)


def _follow_policy(wiring: Wiring) -> None:
    """Plan every repository again after a change of the policy.

    A policy file with a fault and no earlier policy is not a change: the operator will correct the file.
    """
    policies = wiring.policies
    if policies.current() is None and policies.error:
        return
    digest, policy = policies.digest, policies.written
    if wiring.outbox.policy_changed(digest, policy):
        hold_change(wiring, policies.current())
        log.info("the policy changed; every repository is planned again")
        due = wiring.outbox.mark_due(wiring.history.repositories())
        # No plan is made by the new policy before this: a worker that was sent earlier would only wait.
        wiring.outbox.policy_applied(digest, policy)
        for repository in due:
            wiring.dispatch.enforce(repository)
