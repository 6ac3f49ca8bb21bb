"""Deleting by hand, whatever the policy says: what would go, having it go, and what became of it."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import AfterValidator, Field, StrictBool
from werkzeug.exceptions import Conflict

from service.domain.errors import ConfigurationError, NotDeletable
from service.domain.policy.patterns import LONGEST_PATTERN
from service.domain.retention.plan import Verdict
from service.domain.retention.selector import Wanted, check_globs, is_glob
from service.prune.manual import Wish, ask, wishes
from service.web.api.door import door, refusals
from service.web.api.name import Digest
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath
from service.web.models import Answer, Asked
from service.web.problems import Faulty
from service.wiring import Wiring

_MOST_NAMES = 1000
_STAYS = (HTTPStatus.CONFLICT, "what was named stays, or no registry is configured; the sentence says why")


def _a_glob(value: str) -> str:
    check_globs(value)
    return value


_Glob = Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(_a_glob)]
_Globs = Annotated[tuple[_Glob, ...], Field(max_length=_MOST_NAMES)]


class Deletion(Asked):
    """What is to go from one repository, or from several."""

    repository: _Glob = Field(description="its name, or a glob", examples=["shop/api"])
    tags: _Globs = Field(default=(), description="tags, or globs of them")
    digests: Annotated[tuple[Digest, ...], Field(max_length=_MOST_NAMES)] = Field(
        default=(), description="manifests, with all tags that stand there; of one repository"
    )
    all_but: _Globs = Field(default=(), description="instead: every tag but what these match")
    force: StrictBool = Field(default=False, description="also what the policy protects, or only shows (dry_run)")
    dry_run: StrictBool = Field(default=False, description="only say what would go")

    def wanted(self) -> tuple[Wanted, ...]:
        """What is meant. Raises Faulty where nothing is, or two things that exclude each other."""
        if bool(self.tags or self.digests) == bool(self.all_but):
            raise Faulty(["name either tags or digests that are to go, or with all_but the tags that stay"])
        if self.digests and is_glob(self.repository):
            raise Faulty(["digests: a digest belongs to one repository, so name that and no glob"])
        if self.all_but:
            return (Wanted(self.repository, but=self.all_but),)
        tags = [Wanted(self.repository, tag) for tag in self.tags]
        return (*tags, *(Wanted(self.repository, digest=digest) for digest in self.digests))


class DeletedByHand(Answer):
    """A tag, or a manifest without one, that goes or stays."""

    repository: str = Field(description="its name")
    tag: str | None = Field(description="the tag; null: the manifest has none")
    digest: str = Field(description="where it stands")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told")
    stays_as: str | None = Field(description="what keeps the image, so that only the tag goes; null: it goes")
    reason: str = Field(description="why, in words")

    @classmethod
    def of(cls, repository: str, verdict: Verdict) -> "DeletedByHand":
        tag = verdict.tag
        return cls(
            repository=repository,
            tag=tag.name or None,
            digest=tag.digest,
            size_bytes=tag.size_bytes,
            stays_as=verdict.stays_as or None,
            reason=verdict.reason,
        )


class Deletions(Answer):
    """What goes, and what stays of what was meant."""

    asked: bool = Field(description="whether workers delete it now; what is pushed meanwhile stays all the same")
    going: tuple[DeletedByHand, ...]
    staying: tuple[DeletedByHand, ...]


class Pending(Answer):
    """What somebody asked for and is not done."""

    name: str = Field(description="a tag, or the digest of a manifest")
    digest: str = Field(description="where it stood")
    by: str = Field(description="who asked")
    at_us: int = Field(description="when, µs since the epoch")
    refused: str | None = Field(description="why nobody follows it; null: it will be done")


class Pendings(Answer):
    """What is not done of a repository."""

    repository: str = Field(description="its name")
    pending: tuple[Pending, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    return _looking(wiring, documented=documented), _deleting(wiring, documented=documented)


def _looking(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("deletions", wiring, documented)

    @pages.get("/deletions/<path:repository>", responses={HTTPStatus.OK: Pendings, **refusals([UNKNOWN])})
    def deletions(path: RepositoryPath) -> Response:
        """What was asked for by hand in a repository and is not done yet, or was refused"""
        repository = wiring.inventory.known(path.repository)
        pending = (
            Pending(name=name, digest=one.digest, by=one.by, at_us=one.at_us, refused=one.refused or None)
            for name, one in sorted(wiring.asks.standing(repository).items())
        )
        return Pendings(repository=repository, pending=tuple(pending)).response()

    return pages


def _deleting(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("deletions-asking", wiring, documented, "admin")

    @pages.post("/deletions", responses={HTTPStatus.OK: Deletions, **refusals([UNKNOWN, _STAYS, REGISTRY])})
    def delete(body: Deletion) -> Response:
        """Have tags or manifests deleted now, whatever the policy says, or see what would go"""
        return _deleted(wiring, body.wanted(), body).response()

    return pages


def _deleted(wiring: Wiring, wanted: Sequence[Wanted], asked: Deletion) -> Deletions:
    try:
        found = wishes(wiring, wanted, force=asked.force)
        asks = not asked.dry_run and any(wish.going for wish in found)
        if asks:
            found = (*ask(wiring, found, "API", force=asked.force), *(wish for wish in found if not wish.going))
    except (ConfigurationError, NotDeletable) as error:
        raise Conflict(str(error)) from error
    going = tuple(row for wish in found for row in _rows(wish, wish.going))
    staying = tuple(row for wish in found for row in _rows(wish, wish.staying))
    return Deletions(asked=asks, going=going, staying=staying)


def _rows(wish: Wish, verdicts: Iterable[Verdict]) -> Iterable[DeletedByHand]:
    return (DeletedByHand.of(wish.repository, verdict) for verdict in verdicts)
