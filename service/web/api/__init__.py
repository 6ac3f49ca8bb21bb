"""The HTTP API under /api/v1, one file per resource.

api_blueprint.py  what all resources have in common: prefix, token, rate limit of changes, ETags, error responses
paging.py        pages of a listing, and cursors
repository.py    a repository, or a tag of one, by its name
names.py         validated tags and digests of a request
overview.py      the figures of the first page
usage.py         storage used, now and over time
repositories.py  the known repositories
tags.py          the tags of a repository, and the history of a tag
events.py        recorded events
plan.py          the current plan
explanations.py  the reason why each tag is kept or deleted
previews.py      what the current policy, or another policy, would delete now
policy.py        the current policy, and the schema of policies
holds.py         plans that wait for approval
deletions.py     manual deletions
trash.py         deleted images that can be restored
restorations.py  restoring deleted images
protections.py   protecting images from every deletion
search.py        repositories, tags, digests and users that match a text
collections.py   garbage collections: past runs, and requesting a run
reconciliation.py  reconcile runs: comparing the history with the registry
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
    protections,
    reconciliation,
    repositories,
    restorations,
    search,
    tags,
    trash,
    usage,
)
from service.web.api.api_blueprint import Api
from service.wiring import Wiring, given

_RESOURCES = (
    overview, usage, search, repositories, tags, explanations, events, plan, previews, policy, holds, deletions, trash,
    restorations, protections, collections, reconciliation,
)  # fmt: skip


def register(app: OpenAPI, wiring: Wiring, *, documented: bool) -> None:
    """Add every resource to the application and, if `documented`, to its OpenAPI document."""
    added = Api(wiring.store, wiring.settings, documented=documented)
    for resource in _RESOURCES:
        given(wiring, resource.add, added)
    for pages in added.resources:
        app.register_api(pages)
