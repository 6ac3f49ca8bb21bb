"""Names of tags and manifests, as they come in."""

from typing import Annotated

from pydantic import AfterValidator

from service.domain.oci.names import is_digest, is_tag


def _a_tag(value: str) -> str:
    if not is_tag(value):
        raise ValueError("this is no tag; write one such as v1")
    return value


def _a_digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError("this is no digest; write a whole one such as sha256:ab12…")
    return value


TagName = Annotated[str, AfterValidator(_a_tag)]
Digest = Annotated[str, AfterValidator(_a_digest)]
