"""/api/v1: what may be asked and changed, one file per resource.

door.py          what all resources have in common: the prefix, the token, the refusals
repository.py    a repository by its name
explanations.py  why each tag stays or goes
previews.py      what would go now, by the policy in force or by another
policy.py        the policy in force, and the schema of one
holds.py         plans that wait for approval
trash.py         what was deleted, and putting it back
collections.py   garbage collections: those that ran, and having one made
reconciliation.py  comparing the history with the registry
"""

from flask_openapi.openapi import OpenAPI

from service.web.api import collections, explanations, holds, policy, previews, reconciliation, trash
from service.wiring import Wiring


def register(app: OpenAPI, wiring: Wiring) -> None:
    """Adds every resource to the application."""
    for resource in (explanations, previews, policy, holds, trash, collections, reconciliation):
        for pages in resource.blueprints(wiring):
            app.register_api(pages)
