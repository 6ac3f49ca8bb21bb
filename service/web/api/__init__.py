"""/api/v1: what may be asked and changed, one file per resource.

door.py          what all resources have in common: the prefix, the token, the bound on changes, ETags, the refusals
paging.py        pages of a listing, and cursors
repository.py    a repository, or a tag of one, by its name
name.py          tags and digests, as they come in
overview.py      the figures of the first page
repositories.py  which there are
tags.py          the tags of a repository, and where a tag stood when
events.py        what happened
plan.py          the plan as it stands
explanations.py  why each tag stays or goes
previews.py      what would go now, by the policy in force or by another
policy.py        the policy in force, and the schema of one
holds.py         plans that wait for approval
deletions.py     deleting by hand
trash.py         what was deleted, and putting it back
collections.py   garbage collections: those that ran, and having one made
reconciliation.py  comparing the history with the registry
"""

from flask_openapi.openapi import OpenAPI

from service.web.api import (
    collections,
    deletions,
    events,
    explanations,
    holds,
    overview,
    plan,
    policy,
    previews,
    reconciliation,
    repositories,
    tags,
    trash,
)
from service.wiring import Wiring

_RESOURCES = (
    overview, repositories, tags, explanations, events, plan, previews, policy, holds, deletions, trash,
    collections, reconciliation,
)  # fmt: skip


def register(app: OpenAPI, wiring: Wiring, *, documented: bool) -> None:
    """Adds every resource to the application; documented: and to its OpenAPI document."""
    for resource in _RESOURCES:
        for pages in resource.blueprints(wiring, documented=documented):
            app.register_api(pages)
