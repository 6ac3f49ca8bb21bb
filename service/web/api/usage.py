"""The storage that images use, now and over time."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.usage import StorageUsage
from service.reports.usage import usage_records
from service.store import Store
from service.web.api.api_blueprint import Api
from service.web.models import ApiRequest, respond


class UsageQuery(ApiRequest):
    """The period of a time series, and its resolution."""

    days: int = Field(default=30, ge=1, le=400, description="length of the period")
    points: int = Field(default=200, ge=2, le=1000, description="largest number of points; of more, some are left out")


def add(api: Api, store: Store) -> None:
    pages = api.resource("usage")

    @pages.get("/usage", responses={HTTPStatus.OK: StorageUsage})
    def usage(query: UsageQuery) -> Response:
        """Return the storage used, now and over time, by the first part of repository names"""
        return respond(StorageUsage.of(usage_records(store, query.days * 86_400_000, query.points)))
