"""The actions of users: each is one request to the registry, whatever the workers do meanwhile."""

from dataclasses import dataclass, replace

from service.domain.oci import tombstone
from tests.fakes.images import Image
from tests.fakes.registry_disk import StoredManifest
from tests.fakes.registry_storage import Refused
from tests.machine.digests import let_leases_end, restore_digest, trashed_images
from tests.machine.goods import INDEXES, artifact_about, signature_of, signature_tag
from tests.machine.oracle import Push
from tests.machine.shops import SHOP
from tests.machine.world import World


@dataclass(frozen=True)
class Deed:
    """An act of a user. what: the verb; tag: the tag, if the verb needs one; number: makes its open choices."""

    what: str
    tag: str
    number: int


class Users:
    """Docker, cosign and other clients: they push whole images, and do not repeat a refused request."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registry = world.registry

    def do(self, deed: Deed, *, late: bool) -> None:
        """Act as a user. late: the notifications arrive only later."""
        deed = replace(deed, tag=self._world.names.get(deed.tag, deed.tag))
        before, self._world.late = self._world.late, late
        try:
            getattr(self, f"_{deed.what.replace(' ', '_')}")(deed)
        except Refused:
            return
        finally:
            self._world.late = before

    def overflow(self) -> None:
        """Push until the policy has something to delete, by tags that are pushed in turn.

        Without `last`, these are the images that a tag has lost.
        """
        if not self._world.rule.keep:
            for number in range(self._world.rule.revisions + 2):
                self.do(Deed("push", "v1", len(self._world.model.pushed) + number), late=False)
            return
        standing = self._registry.tags()
        ages = {push.tag: push.number for push in self._world.model.wanted.values()}
        groups = 2 if self._world.rule.is_grouped else 1
        for number in range(groups * self._world.rule.keep + 1 - len(standing.keys() - self._world.rule.protect)):
            tags = [self._world.names.get(f"v{nth}", f"v{nth}") for nth in range(1, 5)]
            tag = min(tags, key=lambda tag: ages.get(tag, -1))
            ages[tag] = max(ages.values(), default=0) + 1
            self.do(Deed("push", tag, len(ages) + number), late=False)

    def give_tag(self, tag: str, digest: str) -> None:
        """Push a known image under a tag."""
        try:
            self._retag(self._world.names.get(tag, tag), digest)
        except Refused:
            return

    def _push(self, deed: Deed) -> None:
        self._put(deed.tag, self._good(deed.number))

    def _push_again(self, deed: Deed) -> None:
        """Push a doomed image again, under one of its tags."""
        if chosen := self._doomed(deed.number):
            self._retag(*chosen)

    def _move(self, deed: Deed) -> None:
        """Move a tag that is to be deleted to another image."""
        if chosen := self._doomed(deed.number):
            self._put(chosen[0] or deed.tag, self._good(deed.number))

    def _share(self, deed: Deed) -> None:
        """Push a doomed image under another tag."""
        if chosen := self._doomed(deed.number):
            self._retag(deed.tag, chosen[1])

    def _delete(self, deed: Deed) -> None:
        digest = self._registry.tags().get(deed.tag)
        if digest is None:
            return
        self._registry.delete(digest)

    def _untag(self, deed: Deed) -> None:
        """Delete a tag alone, which Distribution 3 can and 2.8 refuses."""
        self._registry.untag(deed.tag)

    def _pull(self, deed: Deed) -> None:
        self._registry.pull(deed.tag)

    def _sign(self, deed: Deed) -> None:
        digest = self._found(deed.tag).digest
        self._put(signature_tag(digest), signature_of(digest))

    def _attach(self, deed: Deed) -> None:
        """Attach an artifact to an image, in half of the cases with a tag, else by digest."""
        about = self._found(deed.tag)
        artifact = artifact_about(about.digest, len(about.content), about.media_type)
        self._put("report" if deed.number % 2 else None, artifact)

    def _push_parts(self, deed: Deed) -> None:
        """Push the parts of an index without the index, as a push that was broken off."""
        self._put(None, INDEXES[deed.number % len(INDEXES)].children[0])

    def _restore(self, deed: Deed) -> None:
        """Restore a deleted image, under its tag or another name."""
        if deleted := self._deleted(deed.number):
            self._world.restore(deleted, deed.tag if deed.number % 2 else deleted.tag, force=False)

    def _replace(self, deed: Deed) -> None:
        """Restore a deleted image under a tag, even if the tag points at another image now."""
        if deleted := self._deleted(deed.number):
            self._world.restore(deleted, deleted.tag, force=True)

    def _go_back(self, deed: Deed) -> None:
        """Restore a tag to its earlier image, over the image that the user sees there."""
        standing = self._registry.tags().get(deed.tag)
        left = sorted(self._world.model.stood.get(deed.tag, set()) - {standing, *tombstone.DIGESTS})
        if left and standing in self._registry.manifests() and standing not in (None, *tombstone.DIGESTS):
            self._world.go_back(deed.tag, left[deed.number % len(left)], replaced=standing)

    def _remove(self, deed: Deed) -> None:
        """Delete a tag with `pushprune rm`."""
        self._world.ask_for(deed.tag)

    def _restore_digest(self, deed: Deed) -> None:
        """Restore an image by its digest alone: the one that is being deleted, or else any from the trash."""
        trashed = trashed_images(self._world)
        if choices := sorted(trashed & {self._world.deleting} or trashed):
            restore_digest(self._world, choices[deed.number % len(choices)])

    def _remove_digest(self, deed: Deed) -> None:
        """Delete an image that was restored by digest, with `pushprune rm`."""
        if choices := sorted(self._world.model.restored_alone):
            self._world.ask_for(choices[deed.number % len(choices)])

    def _delete_digest(self, deed: Deed) -> None:
        """Delete an image that was restored by digest, with another client."""
        if choices := sorted(self._world.model.restored_alone & self._registry.manifests().keys()):
            self._registry.delete(choices[deed.number % len(choices)])

    def _let_leases_end(self, deed: Deed) -> None:
        let_leases_end(self._world)

    def _protect(self, deed: Deed) -> None:
        """Protect a doomed image, or the image of a tag."""
        chosen = self._doomed(deed.number)
        self._world.protect(chosen[0] if chosen and chosen[0] else deed.tag)

    def _good(self, number: int) -> Image:
        return self._world.goods[number % len(self._world.goods)]

    def _put(self, tag: str | None, image: Image) -> None:
        self._registry.push(tag, image)

    def _retag(self, tag: str, digest: str) -> None:
        """Push an image under another tag, as `docker tag` and push: only missing blobs are sent."""
        known = self._world.model.contents.get(digest)
        if known is None:
            return
        for child in self._world.model.children[digest]:
            if child not in self._registry.manifests():
                self._retag("", child)
        self._registry.put(tag or digest, *known)

    def _doomed(self, number: int) -> tuple[str, str] | None:
        choices = sorted(
            (tag, doomed.digest) for doomed in self._world.history.doomed(SHOP) for tag in doomed.tags or ("",)
        )
        return choices[number % len(choices)] if choices else None

    def _deleted(self, number: int) -> Push | None:
        choices = self._world.deleted()
        return choices[number // 2 % len(choices)] if choices else None

    def _found(self, tag: str) -> StoredManifest:
        """Return the manifest of a tag, which a client reads before it pushes a referrer."""
        manifest = self._registry.manifests().get(self._registry.tags().get(tag, ""))
        if manifest is None:
            raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return manifest
