"""Protecting images from every deletion for a while, whatever the policy says."""

from http import HTTPStatus
from typing import Annotated

from flask import Response
from pydantic import Field

from service.answers.protections import ProtectionAnswer
from service.dispatch import Dispatch
from service.domain.policy.units import Span
from service.prune.protecting import current_digests, end_protection, protect
from service.reports.inventory import Inventory
from service.store import Store
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.names import RepositoryName, TagName
from service.web.api.repository import UNKNOWN
from service.web.models import ApiRequest, respond

_MOST_TAGS = 1000


class ProtectionRequest(ApiRequest):
    """A request to protect the images of tags, or to end their protection."""

    repository: RepositoryName = Field(description="name of the repository", examples=["shop/api"])
    tags: Annotated[tuple[TagName, ...], Field(min_length=1, max_length=_MOST_TAGS)] = Field(
        description="the tags; their images are protected, whichever tags these have later", examples=[["v1"]]
    )
    keep_for: Span = Field(
        description="protect for this long, such as 30d; a longer protection stays as it is; 0: end the protection",
        examples=["30d"],
        # A number without a unit is refused, except 0.
        json_schema_extra={"type": "string"},
    )


def add(api: Api, store: Store, inventory: Inventory, dispatch: Dispatch) -> None:
    pages = api.resource("protections", "admin")

    @pages.post("/protections", responses={HTTPStatus.OK: ProtectionAnswer, **error_responses([UNKNOWN])})
    def protect_images(body: ProtectionRequest) -> Response:
        """Protect images from every deletion, manual ones included, or end their protection"""
        repository = inventory.known(body.repository)
        digests = current_digests(store, repository, tuple(dict.fromkeys(body.tags)))
        if not body.keep_for:
            ended = end_protection(store, dispatch, repository, digests, by="API")
            return respond(ProtectionAnswer.ended(repository, len(digests), ended))
        protection = protect(store, dispatch, repository, digests, body.keep_for, by="API")
        return respond(ProtectionAnswer.of(repository, protection))
