"""The error tree: who must act on each. Every message is one sentence that says what to do.

PushpruneError
├── MalformedNotification   the sender: what it posted is no notification
│   └── TooManyEvents       …or a flood of them
├── ConfigurationError      the operator, before anything starts
├── RegistryRefused         the operator: the registry will go on saying no until somebody changes something
│   ├── AccessDenied        …the credentials or their rights
│   ├── DeletesDisabled     …`storage.delete.enabled` in the registry's config
│   ├── RegistryTooOld      …a registry of version 1, which sends no notifications
│   ├── WritesDisabled      …`storage.maintenance.readonly` there
│   ├── ManifestRefused     the user: the registry never takes these bytes, as layers of the image are missing
│   └── TagDeletesUnknown   …nobody: 2.8 deletes manifests only, so the tag is taken off in another way
├── RegistryUnavailable     nobody: try again later
│   └── MisnamedManifest    …its digest is not that of the bytes: a transfer that was cut, or a schema 1 image
├── StoreUnavailable        nobody: Redis will come back
│   └── StoreRefuses        the operator: Redis answers, and takes nothing: its memory or its disk is full
├── LeaseLost               nobody: somebody else holds it now
├── CollectionFailed        the operator: garbage-collect itself failed
│   ├── CollectionTooSlow   …it takes longer than gc.timeout
│   ├── StaleCache          …the registry claims blobs that were collected: nobody may push until that is mended
│   └── StaysReadOnly       …the registry did not become writable again
├── TrashUnwritable         the operator: what is to be deleted cannot be saved first, so it is not deleted
├── NoSuchRepository        the user: nothing is known of that name
├── NoSuchTag               the user: no live tag has that name
├── NotDeletable            the user: what was named stays, or not all of it went
├── NotWaiting              the user: no plan waits there, or another than the one named
└── NotRestorable           the user: what was deleted cannot be put back, or not there
"""


class PushpruneError(Exception):
    """Base of everything this product raises on purpose."""


class MalformedNotification(PushpruneError):
    """What was posted is not JSON, or not an envelope."""


class TooManyEvents(MalformedNotification):
    """One envelope with more events than any registry sends."""


class ConfigurationError(PushpruneError):
    """A setting or a policy that cannot be obeyed."""


class RegistryRefused(PushpruneError):
    """The registry answered no, and will go on doing so."""


class AccessDenied(RegistryRefused):
    """401 or 403, after logging in was tried."""


class DeletesDisabled(RegistryRefused):
    """405 on a DELETE: the registry runs with deletes off, or read-only."""


class RegistryTooOld(RegistryRefused):
    """It speaks version 1 of the registry's API, and nothing later. where: such as "the registry at …"."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} is of version 1, which has no notifications, so nothing is known of its past: "
            "only `pushprune tags` and `pushprune rm` speak to it, with --registry URL --v1"
        )


class WritesDisabled(RegistryRefused):
    """405 on a PUT: the registry runs read-only."""


class ManifestRefused(RegistryRefused):
    """400 on a PUT: the registry never takes these bytes, such as an image whose layers are missing."""


class TagDeletesUnknown(RegistryRefused):
    """The registry deletes manifests, and no single tags (Distribution 2.8)."""


class RegistryUnavailable(PushpruneError):
    """Timeout, refused connection, 429, 5xx, or an answer that makes no sense.

    `retry_after_s` is what the registry asked for, in seconds, where it asked. `is_fault`: it answered 500, as 2.8 does
    to a DELETE that meets a push: that says nothing of other requests. `is_over`: the request was refused or has ended;
    without an answer of the registry's own it may still be at work.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, *, is_fault: bool = False, is_over: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_fault = is_fault
        self.is_over = is_over


class MisnamedManifest(RegistryUnavailable):
    """A manifest whose digest is not that of its bytes: one of schema 1 is named by its unsigned part."""


class StoreUnavailable(PushpruneError):
    """Redis did not answer, or refuses writes."""


class StoreRefuses(StoreUnavailable):
    """Redis answers no."""


class LeaseLost(PushpruneError):
    """A lease could not be renewed in time; what it protected must stop."""


class CollectionFailed(PushpruneError):
    """`registry garbage-collect` could not be run or ended badly."""


class CollectionTooSlow(CollectionFailed):
    """It took longer than gc.timeout and was stopped."""


class StaleCache(CollectionFailed):
    """The registry goes on claiming a blob that was collected: a push that believes it is broken."""


class StaysReadOnly(CollectionFailed):
    """The registry was made read-only for a collection, and does not take writes again."""


class TrashUnwritable(PushpruneError):
    """The folder for deleted images cannot be written."""


class NoSuchRepository(PushpruneError):
    """Nothing is known of a repository of that name."""


class NoSuchTag(PushpruneError):
    """No live tag has that name."""


class NotDeletable(PushpruneError):
    """What somebody wants deleted by hand stays, or is not all gone yet."""


class NotRestorable(PushpruneError):
    """A deletion that cannot be undone, or not in that way."""


class NotWaiting(PushpruneError):
    """No plan waits for approval there, or another than the one that was looked at."""
