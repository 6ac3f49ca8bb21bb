"""Restore images from a folder of deleted images, to a registry without a history."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from service.domain.errors import NotRestorable, RegistryRefused
from service.domain.oci import tombstone
from service.domain.oci.manifest import References, references_of
from service.domain.retention.selector import TagSelector
from service.domain.retention.state import subject_of
from service.registry.client import RegistryClient
from service.registry.manifest import Manifest
from service.restore.record import RestoreRecord
from service.restore.trash_folder import Saved, TrashFolder


class Outcome(StrEnum):
    """The outcome of the restore of one tag, or of one manifest without a tag."""

    RESTORED = "restored"
    PRESENT = "was there already"
    REFUSED = "not restored"


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one tag, or for one manifest without a tag ("").

    Attributes:
        reason: why the tag was not restored; "" if it was.
    """

    repository: str
    tag: str
    digest: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Image:
    """A deleted image, with the tags to restore."""

    repository: str
    digest: str
    media_type: str
    tags: tuple[str, ...]


class RestoreFolder:
    """Restore images with all that belongs to them: parts before their index, an image before its signatures.

    Every manifest is checked against its digest before it is sent. A tag that points at another digest by now is not
    changed, unless `force` is set.
    """

    def __init__(
        self, folder: TrashFolder, registry: RegistryClient, *, force: bool, record: RestoreRecord | None = None
    ) -> None:
        """Prepare a restore; nothing is sent yet. record: of the service that watches this registry, if known."""
        self._folder, self._registry, self._force, self._record = folder, registry, force, record

    def restore(self, wanted: TagSelector | None = None) -> Iterator[Result]:
        """Restore the wanted images, or all, and yield the result of each tag.

        Raises:
            ConfigurationError: the folder contains no deleted images.
            NotRestorable: no image in the folder matches, or a garbage collection is running.
            RegistryUnavailable, RegistryRefused: the registry cannot be asked. Images restored until then are kept.
        """
        images = _images(self._folder.saved())
        chosen = _chosen(images, wanted)
        if not chosen:
            name = f"of {wanted.as_written} " if wanted else ""
            raise NotRestorable(f"no deleted image {name}is in {self._folder.path}")
        for repository in sorted({image.repository for image in chosen}):
            known = {image.digest: image for image in images if image.repository == repository}
            of_repository = [image for image in chosen if image.repository == repository]
            restoring = _Repository(self._folder, self._registry, known, force=self._force, record=self._record)
            with self._record.permit() if self._record else nullcontext():
                yield from restoring.restore(of_repository)


class _Repository:
    """One repository while its images are restored. known: every deleted image of it, by digest."""

    def __init__(
        self,
        folder: TrashFolder,
        registry: RegistryClient,
        known: dict[str, _Image],
        *,
        force: bool,
        record: RestoreRecord | None,
    ) -> None:
        self._folder, self._registry, self._known, self._force = folder, registry, known, force
        self._record = record
        self._visited: set[str] = set()
        self._put: set[str] = set()

    def restore(self, chosen: Iterable[_Image]) -> Iterator[Result]:
        todo = {image.digest: image for image in chosen}
        for image in self._in_order(todo):
            yield from self._restore(image)

    def _restore(self, image: _Image) -> Iterator[Result]:
        names = image.tags or ("",)
        try:
            self._push_with_parts(image.repository, image.digest)
        except NotRestorable as error:
            for tag in names:
                yield Result(image.repository, tag, image.digest, Outcome.REFUSED, str(error))
            return
        for tag in names:
            yield self._restore_tag(image, tag) if tag else self._restore_untagged(image)

    def _restore_untagged(self, image: _Image) -> Result:
        if self._record and image.digest in self._put:
            manifest = self._manifest(image.repository, image.digest)
            with self._record.restoring(image.repository, "", manifest):
                pass
        outcome = Outcome.RESTORED if image.digest in self._put else Outcome.PRESENT
        return Result(image.repository, "", image.digest, outcome)

    def _restore_tag(self, image: _Image, tag: str) -> Result:
        current = self._registry.head(image.repository, tag, unless=image.digest)
        if current and current.digest == image.digest:
            return Result(image.repository, tag, image.digest, Outcome.PRESENT)
        if current and current.digest not in tombstone.DIGESTS and not self._force:
            reason = f"the tag points at {current.digest} by now: to replace that, add --force"
            return Result(image.repository, tag, image.digest, Outcome.REFUSED, reason)
        manifest = self._manifest(image.repository, image.digest)
        record = self._record
        try:
            with record.restoring(image.repository, tag, manifest) if record else nullcontext():
                self._registry.put(image.repository, tag, manifest.media_type, manifest.content)
        except NotRestorable as error:
            return Result(image.repository, tag, image.digest, Outcome.REFUSED, str(error))
        return Result(image.repository, tag, image.digest, Outcome.RESTORED)

    def _push_with_parts(self, repository: str, digest: str) -> None:
        """Push a manifest, with all of its parts, as far as the registry does not have them.

        Raises:
            NotRestorable: a part, a layer or the manifest itself exists nowhere.
        """
        if digest in self._visited:
            return
        self._visited.add(digest)
        current = self._registry.head(repository, digest)
        manifest = self._manifest(repository, digest)
        references = references_of(manifest.media_type, manifest.content)
        for child in references.children:
            if child in self._known or self._registry.head(repository, child) is None:
                self._push_with_parts(repository, child)
        if current is None:
            self._send(repository, manifest, references)

    def _send(self, repository: str, manifest: Manifest, references: References) -> None:
        for blob, _ in references.blobs:
            if not self._registry.has_blob(repository, blob):
                raise NotRestorable(
                    f"its layer {blob} was deleted from the registry, by a garbage collection: push the image again"
                )
        if self._record:
            self._record.keep(repository, manifest.digest)
        try:
            self._registry.put(repository, manifest.digest, manifest.media_type, manifest.content)
        except RegistryRefused as error:
            raise NotRestorable(f"the registry does not accept it: {error}") from error
        self._put.add(manifest.digest)

    def _manifest(self, repository: str, digest: str) -> Manifest:
        """The manifest from the folder, or from the registry if only its tag was deleted."""
        image = self._known.get(digest)
        content = self._folder.content(digest) if image and image.media_type else None
        if image and content is not None:
            return Manifest(digest, image.media_type, content)
        manifest = self._registry.get(repository, digest)
        if manifest is None:
            raise NotRestorable(f"{digest} is neither in the registry nor unchanged in {self._folder.path}")
        return manifest

    def _in_order(self, todo: dict[str, _Image]) -> Iterator[_Image]:
        """The images to restore, each before its signatures; all deleted signatures are included."""
        owners = {digest: subject for digest, image in self._known.items() if (subject := self._subject(image))}
        wanted = dict(todo)
        reached = self._with_parts(wanted)
        while more := {
            digest: self._known[digest]
            for digest, subject in owners.items()
            if digest not in wanted and subject in reached
        }:
            wanted |= more
            reached |= self._with_parts(more)
        return iter(sorted(wanted.values(), key=lambda image: _depth(image.digest, owners)))

    def _with_parts(self, digests: Iterable[str]) -> set[str]:
        """These digests, and the parts of the indexes among them, at any depth."""
        reached: set[str] = set()
        unread = list(digests)
        while unread:
            digest = unread.pop()
            if digest not in reached:
                reached.add(digest)
                unread += self._references_of.get(digest, References()).children
        return reached

    def _subject(self, image: _Image) -> str | None:
        references = self._references_of.get(image.digest)
        subjects = (subject_of(tag, references) for tag in image.tags or ("",))
        return next(filter(None, subjects), None)

    @cached_property
    def _references_of(self) -> dict[str, References]:
        """The references of each deleted manifest, as far as its bytes are in the folder."""
        known: dict[str, References] = {}
        for digest, image in self._known.items():
            content = self._folder.content(digest) if image.media_type else None
            if content is not None:
                known[digest] = references_of(image.media_type, content)
        return known


def _images(saved: Iterable[Saved]) -> tuple[_Image, ...]:
    """Each deleted image once. A tag that was deleted from several digests belongs to the last of them."""
    last: dict[tuple[str, str], str] = {}
    types: dict[tuple[str, str], str] = {}
    for image in saved:
        last |= {(image.repository, tag): image.digest for tag in image.tags}
        place = (image.repository, image.digest)
        # An entry without a media type deleted only tags; another entry may have saved the manifest.
        types[place] = image.media_type or types.get(place, "")
    tags: dict[tuple[str, str], list[str]] = {place: [] for place in types}
    for (repository, tag), digest in last.items():
        tags[(repository, digest)].append(tag)
    return tuple(
        _Image(repository, digest, media_type, tuple(tags[(repository, digest)]))
        for (repository, digest), media_type in types.items()
    )


def _chosen(images: Iterable[_Image], wanted: TagSelector | None) -> list[_Image]:
    if wanted is None:
        return list(images)
    chosen = []
    for image in images:
        if not wanted.repositories([image.repository]):
            continue
        if not wanted.tag:
            chosen += [image] if wanted.digest in ("", image.digest) else []
        elif tags := wanted.tags(image.tags):
            named = tuple(tag for tag in image.tags if tag in tags)
            chosen.append(_Image(image.repository, image.digest, image.media_type, named))
    return chosen


def _depth(digest: str, owners: dict[str, str]) -> int:
    """The number of images that must be restored before this one: a signature of a signature comes last."""
    seen: list[str] = []
    while digest in owners and digest not in seen:
        seen.append(digest)
        digest = owners[digest]
    return len(seen)
