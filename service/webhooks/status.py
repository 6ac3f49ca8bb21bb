"""The state of the webhooks, for people and for monitoring."""

from collections.abc import Sequence

from service.settings.webhooks import WebhookSettings
from service.store import Store
from service.store.webhooks import WebhookState

_ABOUT = "webhook "


def about(name: str) -> str:
    """Return the name of the trouble about a webhook."""
    return f"{_ABOUT}{name}"


def is_about_webhook(subject: str) -> bool:
    """True if this is the name of a trouble about a webhook."""
    return subject.startswith(_ABOUT)


def webhook_states(store: Store, webhooks: Sequence[WebhookSettings]) -> dict[str, WebhookState]:
    """Return name → state of each webhook in the settings."""
    return {webhook.name: store.webhooks.state(webhook.name) for webhook in webhooks}


def end_troubles_of_removed(store: Store, webhooks: Sequence[WebhookSettings]) -> None:
    """End the troubles about webhooks that are not in the settings any more."""
    names = {about(webhook.name) for webhook in webhooks}
    for trouble in store.outbox.troubles():
        if is_about_webhook(trouble.about) and trouble.about not in names:
            store.outbox.end_trouble(trouble.about)
