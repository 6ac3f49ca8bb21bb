"""Validated types for the names in a request."""

from typing import Annotated

from pydantic import AfterValidator

from service.domain.oci.names import is_digest, is_repository, is_tag


def _a_repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError("not a valid name of a repository; write a name such as shop/api")
    return value


def _a_tag(value: str) -> str:
    if not is_tag(value):
        raise ValueError("not a valid tag; write a tag such as v1")
    return value


def _a_digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError("not a valid digest; write a complete digest such as sha256:ab12…")
    return value


RepositoryName = Annotated[str, AfterValidator(_a_repository)]
TagName = Annotated[str, AfterValidator(_a_tag)]
Digest = Annotated[str, AfterValidator(_a_digest)]
