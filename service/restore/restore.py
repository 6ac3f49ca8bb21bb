"""Restore deleted or overwritten images from the trash, until a garbage collection may have deleted their layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.history.entry import Deleted
from service.registry import Registry
from service.restore.restoring import LEASE_S, RestoreResult, Restoring, write_permit
from service.store import Store
from service.store.lease import Lease


@dataclass(frozen=True)
class Restore:
    """Restore images from the trash.

    Every method raises, beside its own errors, StoreUnavailable, RegistryUnavailable and RegistryRefused.
    """

    store: Store
    registry: Registry = field(repr=False)

    def deleted(self, repository: str) -> tuple[Deleted, ...]:
        """The deletions in a repository that can still be undone, the latest first."""
        return self.store.trash.deleted(repository)

    def latest(self, count: int) -> tuple[tuple[str, Deleted], ...]:
        """The latest deletions of all repositories that can still be undone, each with its repository."""
        return self.store.trash.latest(count)

    def trashed(self, repository: str) -> frozenset[str]:
        """The digests that are in the trash."""
        return self.store.trash.digests(repository)

    def existing(self, repository: str) -> frozenset[str]:
        """The digests that the registry has, as far as the history knows."""
        return self.store.history.standing(repository)

    def restore(
        self,
        repository: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        as_tag: str | None = None,
        force: bool = False,
        replaces: str | None = None,
        lease_s: int = LEASE_S,
        by: str = "",
    ) -> RestoreResult:
        """Restore a tag, or a digest with the tags that were deleted with it, with the original push time.

        The latest deletion of the tag is undone, or the deletion from `digest`. An overwritten image can be restored,
        too: then the tag points at it again.

        Args:
            tag: to restore; None: restore `digest` with all of its deleted tags.
            digest: of the image; None: of the latest deletion of the tag.
            force: also if the tag was pushed again since.
            replaces: also if the tag points at this digest. The tag then keeps its place in the push order, and the
                replaced digest is not deleted for a day.
            lease_s: seconds for which no policy deletes the image again; 0: the next plan may delete it.

        Raises:
            NotRestorable: with one sentence for the user.
        """
        with write_permit(self.store) as permit:
            restoring = Restoring(
                self.store, self.registry, permit, repository, force=force, replaces=replaces, lease_s=lease_s, by=by
            )
            return restoring.restore(tag, digest, as_tag)

    def check(
        self,
        repository: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        as_tag: str | None = None,
        force: bool = False,
    ) -> tuple[str, ...]:
        """Return the tags that `restore` would restore now. Nothing is changed; the arguments are those of `restore`.

        Raises:
            NotRestorable: with one sentence for the user.
        """
        with write_permit(self.store) as permit:
            restoring = Restoring(self.store, self.registry, permit, repository, force=force, by="")
            return tuple(filter(None, restoring.resolve(tag, digest, as_tag)[0]))

    def restore_again(self, repository: str, digest: str, permit: Lease) -> bool:
        """Restore a missing manifest that a user had restored without a tag.

        Returns:
            False if no user restored it without a tag, or another client deleted it since.

        Raises:
            NotRestorable: with one sentence for the user.
        """
        restoring = Restoring(self.store, self.registry, permit, repository, by="pushprune")
        return restoring.restore_again(digest)

    def restore_referrers(
        self, repository: str, since: Mapping[str, int], permit: Lease, by: str, reason: str
    ) -> tuple[str, ...]:
        """Restore the signatures and other referrers that were deleted after their images.

        A referrer that exists, or whose layers were deleted, is skipped.

        Args:
            repository: the name of the repository.
            since: digest of an image → referrers deleted at this time (µs) or later belong to its deletion.
            permit: the right to write, which the caller holds.
            by: the user, for the history.
            reason: for the history.

        Returns:
            The tags of the restored referrers, or the digest of a referrer without a tag.
        """
        restoring = Restoring(self.store, self.registry, permit, repository, by=by)
        return restoring.restore_referrers(since, reason)
