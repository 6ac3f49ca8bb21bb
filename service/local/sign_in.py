"""A one-time link that signs a browser in to the dashboard, for a user who can read the settings of the system."""

import secrets

from service.domain.errors import ConfigurationError
from service.settings import Settings
from service.store import Store

LIFE_S = 15 * 60
_BYTES = 32


def sign_in_link(store: Store, settings: Settings, address: str) -> str:
    """Return a link that signs in once, with the right to make changes; without tokens, the address of the dashboard.

    The link holds a random secret and no token: a copy of it in a log or a browser's history is of no use later.

    Args:
        store: keeps a hash of the secret for `LIFE_S`.
        address: the URL of the web process, as the browser reaches it.

    Raises:
        ConfigurationError: tokens are set, but tokens.admin is not.
        StoreUnavailable: Redis does not answer.
    """
    tokens, address = settings.tokens, address.rstrip("/")
    if tokens.admin is None:
        if tokens.notify or tokens.read:
            raise ConfigurationError("tokens.admin is not set, so a link has no right to give: set tokens.admin")
        return f"{address}/"
    secret = secrets.token_urlsafe(_BYTES)
    store.sign_in_links.add(secret, LIFE_S)
    return f"{address}/login/{secret}"
