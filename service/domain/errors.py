"""The error tree, sorted by who must act. Every message is one sentence that says what to do.

PushpruneError
├── MalformedNotification   the sender: the posted body is not a notification
│   └── TooManyEvents       …or has more events than any registry sends
├── ConfigurationError      the operator, before anything starts
├── RegistryRefused         the operator: the registry keeps refusing until something is changed:
│   ├── AccessDenied        …the credentials or their rights
│   ├── DeletesDisabled     …`storage.delete.enabled` in the registry's config
│   ├── RegistryTooOld      …the registry: version 1 sends no notifications
│   ├── WritesDisabled      …`storage.maintenance.readonly` in the registry's config
│   ├── ManifestRefused     the user: the registry never accepts this manifest, because layers of the image are missing
│   ├── TagDeletesUnknown   no action: Distribution 2.8 deletes manifests only, so the tag is deleted with a tombstone
│   └── StorageRefused      …the bucket, its policy or the credentials for it
├── RegistryUnavailable     no action: try again later
│   ├── MisnamedManifest    …the digest is not that of the bytes: an interrupted transfer, or a schema 1 image
│   └── StorageUnavailable  …the object storage
├── StoreUnavailable        no action: Redis will come back
│   └── StoreRefuses        the operator: Redis refuses writes because its memory or its disk is full
│       └── StoreDamaged    …an entry in Redis cannot be read: it must be deleted by hand
├── LeaseLost               no action: another process holds the lease now
├── CollectionFailed        the operator: garbage-collect itself failed
│   ├── CollectionTooSlow   …the collection takes longer than gc.timeout
│   ├── StaleCache          …the registry claims to have collected blobs: pushes must wait until that is fixed
│   └── StaysReadOnly       …the registry did not become writable again
├── TrashUnwritable         the operator: images cannot be saved before their deletion, so they are not deleted
├── NoSuchName              the user: a name does not exist
│   ├── NoSuchRepository    …no repository of that name is known
│   └── NoSuchTag           …no live tag has that name
├── NotDeletable            the user: the named images are kept, or not all of them are deleted
├── NotWaiting              the user: no plan waits for approval, or another plan than the named one
└── NotRestorable           the user: the deleted image cannot be restored, or not under that name
"""

from shlex import quote


class PushpruneError(Exception):
    """Base of all errors that pushprune raises on purpose."""


class MalformedNotification(PushpruneError):
    """The posted body is not JSON, or not an envelope."""


class TooManyEvents(MalformedNotification):
    """One envelope with more events than any registry sends."""


class ConfigurationError(PushpruneError):
    """A setting or a policy that pushprune cannot use."""


class RegistryRefused(PushpruneError):
    """The registry refused a request, and will refuse the next one as well."""


class AccessDenied(RegistryRefused):
    """The registry answered 401 or 403 although pushprune tried to log in."""


class DeletesDisabled(RegistryRefused):
    """The registry answered 405 to a DELETE: deletes are disabled, or the registry is read-only."""


class RegistryTooOld(RegistryRefused):
    """The registry supports only version 1 of the registry API.

    Args:
        where: the subject of the message, such as "the registry at …".
    """

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} is of version 1, which has no notifications, so it has no history here: "
            "only `pushprune tags` and `pushprune rm` work with it, with --registry URL --v1"
        )


class WritesDisabled(RegistryRefused):
    """The registry answered 405 to a PUT: it is read-only."""


class ManifestRefused(RegistryRefused):
    """The registry answered 400 to a PUT: it never accepts these bytes, such as an image whose layers are missing."""


class TagDeletesUnknown(RegistryRefused):
    """The registry deletes manifests, but no single tags (Distribution 2.8)."""


class RegistryUnavailable(PushpruneError):
    """Timeout, refused connection, 429, 5xx, or an answer that makes no sense.

    Attributes:
        retry_after_s: the registry's `Retry-After` in seconds; None if it sent none.
        is_fault: True if the registry answered 500. Distribution 2.8 does so when a DELETE meets a push; other requests
            may still succeed.
        is_over: True if the registry refused or finished the request. False if the registry may still be working on it,
            because the answer did not come from the registry itself.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, *, is_fault: bool = False, is_over: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_fault = is_fault
        self.is_over = is_over


class MisnamedManifest(RegistryUnavailable):
    """A manifest whose digest is not that of its bytes: the digest of a schema 1 manifest covers its unsigned part."""


class StorageRefused(RegistryRefused):
    """The object storage refused a request, and will refuse the next one as well."""


class StorageUnavailable(RegistryUnavailable):
    """Time-out, no connection, SlowDown or another 5xx of the object storage."""


class StoreUnavailable(PushpruneError):
    """Redis did not answer, or refuses writes."""


class StoreRefuses(StoreUnavailable):
    """Redis answers, but refuses writes."""


class StoreDamaged(StoreRefuses, ValueError):
    """An entry in Redis that this version cannot read, so that nothing may be decided by it."""


class UnusableBackup(PushpruneError):
    """A file that cannot be imported. The store was not changed."""


class StoreInUse(PushpruneError):
    """A backup is to be imported, and the store is not empty."""


class ImportIncomplete(PushpruneError):
    """An import that stopped halfway. No process uses the store before it was repeated."""


class StoreBusy(StoreUnavailable):
    """The store is being migrated or imported, and can be used afterwards."""


class SchemaTooNew(StoreRefuses):
    """The store was written by a newer pushprune.

    Args:
        version: of the store.
        known: the version that this pushprune knows.
    """

    def __init__(self, version: str, known: int) -> None:
        super().__init__(
            f"the data in Redis has schema version {version[:20]}, which is newer than version {known} of this "
            "pushprune: install the version that wrote it, or import a backup that this version made"
        )


class LeaseLost(PushpruneError):
    """A lease could not be renewed in time; the work under it must stop."""


class CollectionFailed(PushpruneError):
    """`registry garbage-collect` could not be run or ended badly."""


class CollectionTooSlow(CollectionFailed):
    """The collection took longer than gc.timeout and was stopped."""


class StaleCache(CollectionFailed):
    """The registry still claims to have a blob that was collected: a push that relies on it is broken."""


class StaysReadOnly(CollectionFailed):
    """The registry was made read-only for a collection, and did not become writable again."""


class TrashUnwritable(PushpruneError):
    """The folder for deleted images cannot be written, or Redis has no room for them."""


class NoSuchName(PushpruneError):
    """A name that does not exist.

    Args:
        problem: the message without the hint.
        listed_by: the command that lists the existing names, for the hint; "" for none.

    Attributes:
        options: of that command. The command line sets those with which the user called it.
    """

    def __init__(self, problem: str, listed_by: str = "") -> None:
        super().__init__(problem, listed_by)
        self._problem, self._listed_by, self.options = problem, listed_by, ""

    def __str__(self) -> str:
        return f"{self._problem}; `{self._listed_by}{self.options}` lists them" if self._listed_by else self._problem


class NoSuchRepository(NoSuchName):
    """No repository of that name is known."""


class NoSuchTag(NoSuchName):
    """No live tag has that name."""


class NotDeletable(PushpruneError):
    """Images of a manual deletion are kept, or not all of them are deleted yet."""


class NotRestorable(PushpruneError):
    """A deletion that cannot be undone, or not in the requested way."""


class NotWaiting(PushpruneError):
    """No plan of the repository waits for approval, or another plan than the one that the user saw."""


def unknown_repository(name: str) -> NoSuchRepository:
    """Return the error for a name, or a glob, that means no known repository."""
    return NoSuchRepository(f"no repository {name} is known", "pushprune repos")


def unknown_tag(name: str, repository: str) -> NoSuchTag:
    """Return the error for a name such as shop/api:v7, or a glob, that means no tag of the repository."""
    return NoSuchTag(f"{name}: tag not found", f"pushprune tags {quote(repository)}")
