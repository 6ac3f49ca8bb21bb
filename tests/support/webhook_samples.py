"""One event of each type, as the manual shows it, and the messages of a chat."""

import json

from service.domain.collection.run import Run
from service.domain.history.entry import Entry
from service.domain.webhooks.event import WebhookEvent
from service.store.approvals import Hold
from service.store.outbox import Trouble
from service.webhooks import compose
from service.webhooks.message import chat_message, cloudevent
from tests.support.makers import digest_of, us

SOURCE = "http://registry:5000"
_ID = "7b0c2f3e-8d5a-4c5f-9a51-{:012d}"


def entry(action: str, tag: str, at: float, **more: str) -> Entry:
    reason, rule, actor = (more.get(name, "") for name in ("reason", "rule", "actor"))
    repository = more.get("repository", "shop/api")
    return Entry(
        id="1-0", repository=repository, action=action, tag=tag, digest=digest_of(tag), size_bytes=5_300_000,
        actor=actor, useragent="", address="", at_us=us(at), reason=reason, rule=rule,
    )  # fmt: skip


def pruned(tag: str, at: float, repository: str = "shop/api") -> Entry:
    return entry(
        "pruned", tag, at, reason="older than the newest 10 (rule branches)", rule="branches", repository=repository
    )


def samples() -> dict[str, WebhookEvent]:
    """Type → event, with ids and times that stay the same."""
    away = Trouble("registry", f"the registry at {SOURCE} cannot be reached: Connection refused", us(40) // 1000)
    broken = Trouble(
        "broken shop/api:v9",
        "it was pushed during a garbage collection and is broken (a layer is missing): push it again",
        us(30) // 1000,
    )
    run = Run(us(20) // 1000, us(22) // 1000, "done", "scheduled (0 3 * * *)", blobs=345, bytes_freed=1_240_000_000)
    events = (
        *compose.of_entries([pruned("main-41", 0), pruned("main-42", 0.5)]),
        *compose.of_entries([entry("restored", "main-42", 5, reason="restored after a deletion", actor="ann")]),
        *compose.of_holds([Hold("shop/web", "it would delete 57 of 60 tags, more than 50% (hold_over)", us(10),
                                tuple(digest_of(str(number)) for number in range(57)), "plan")]),
        *compose.of_runs([run]),
        *compose.of_troubles({}, {broken.about: broken, away.about: away}, us(50)),
        *compose.of_troubles({away.about: away.at_ms}, {}, us(50)),
    )  # fmt: skip
    return {event.type: named(event, number) for number, event in enumerate(events, 1)}


def named(event: WebhookEvent, number: int) -> WebhookEvent:
    return WebhookEvent(_ID.format(number), event.type, event.repository, event.at_us, event.data)


def shown(event: WebhookEvent) -> str:
    """The event as a receiver gets it, with line ends for readers."""
    return json.dumps(json.loads(cloudevent(event, SOURCE)), indent=2, ensure_ascii=False)


def chats() -> dict[str, str]:
    """The texts of two messages to a chat."""
    made = samples()
    night = [
        pruned(f"v{number}", number, repository)
        for repository, count in (
            ("shop/api", 180),
            ("shop/web", 95),
            *((f"team/app{number}", 12) for number in range(20)),
        )
        for number in range(count)
    ]
    several = [*compose.of_entries(night), made["collection.done"]]
    single = [made[kind] for kind in ("tags.deleted", "tags.restored", "plan.held", "image.broken")]
    return {name: json.loads(chat_message(of, SOURCE))["text"] for name, of in (("several", several), ("one", single))}
