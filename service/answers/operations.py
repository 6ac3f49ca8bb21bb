"""Garbage collections and reconcile runs: past ones, the running one, and the next."""

from pydantic import Field

from service.answers.base import ApiAnswer, TimeMs


class GarbageShare(ApiAnswer):
    """The garbage of one repository."""

    repository: str = Field(description="name of the repository; empty: no repository has a link to it any more")
    blobs: int = Field(description="number of blobs; a blob that several repositories had counts in each of them")
    size_bytes: int = Field(description="their size in bytes")


class GarbageOfAge(ApiAnswer):
    """Garbage of the same age."""

    stage: str = Field(description="younger than gc.youth, unused, unlinked, or in quarantine")
    since: TimeMs | None = Field(validation_alias="since_ms", description="start of this stage; null: now")
    blobs: int = Field(description="number of blobs")
    size_bytes: int = Field(description="their size in bytes")
    freed_at: TimeMs | None = Field(
        validation_alias="freed_ms", description="when the space becomes free, at the earliest; null: unknown"
    )


class StorageLeftover(ApiAnswer):
    """The leftovers of one kind in one repository."""

    kind: str = Field(description="abandoned upload, dangling tag, unused layer link, or emptied repository")
    repository: str = Field(description="name of the repository")
    count: int = Field(description="number of them")
    size_bytes: int = Field(description="their size in bytes; without the parts of multipart uploads")
    since: TimeMs | None = Field(validation_alias="since_ms", description="the last write to them; null: unknown")


class StorageGarbage(ApiAnswer):
    """The blobs that no image needs, as the last collection or dry run saw them."""

    at: TimeMs = Field(validation_alias="at_ms", description="time of that collection or dry run")
    repositories: tuple[GarbageShare, ...] = Field(description="by repository, the largest first")
    steps: tuple[GarbageOfAge, ...] = Field(description="by age; empty unless gc.collector is online")
    leftovers: tuple[StorageLeftover, ...] = Field(
        description="what no collection of a registry deletes; empty unless gc.collector is online"
    )


class CollectionRun(ApiAnswer):
    """A collection that ended."""

    started_at: TimeMs = Field(validation_alias="started_ms", description="its start")
    ended_at: TimeMs = Field(validation_alias="ended_ms", description="its end")
    result: str = Field(description="done, failed, postponed, dry run, or undeletion")
    reason: str = Field(description="why it was requested")
    exit_code: int | None = Field(description="exit code of garbage-collect; null: garbage-collect was not run")
    in_use: int = Field(validation_alias="marked", description="blobs in use")
    blobs: int = Field(description="blobs that were deleted, or in a dry run would be")
    manifests: int = Field(description="manifests that were deleted, or in a dry run would be")
    bytes_freed: int | None = Field(description="bytes freed by deleting these blobs; null: unknown")
    unsized: int = Field(description="number of deleted blobs of unknown size, which bytes_freed leaves out")
    permanent: int = Field(validation_alias="final", description="deletions that this run made permanent")
    checked: int = Field(description="manifests pushed during the run whose blobs were verified")
    closed_ms: int = Field(description="for how long the write gate was closed, ms")
    unlinked: int = Field(
        description="blobs whose links an online collection deleted; their data is deleted after gc.grace"
    )
    held_ms: int = Field(
        description="the longest time for which requests that name a blob waited in an online collection, ms"
    )
    quarantined: int = Field(description="deleted blobs in quarantine, from where they can be brought back")
    quarantined_bytes: int = Field(description="their size in bytes")
    quarantined_until: TimeMs | None = Field(
        validation_alias="quarantined_until_ms", description="the next run after this time deletes the last of them"
    )
    gate: str = Field(description="how pushes were blocked during the run: none, proxy, readonly")
    message: str = Field(description="what went wrong, in one sentence")
    note: str = Field(description="further remarks, such as what was not protected")
    would_delete: dict[str, int | None] | None = Field(
        default=None,
        description="the largest blobs that a dry run would delete, each with its size in bytes; null: not requested",
    )
    garbage: StorageGarbage | None = Field(
        default=None, description="the garbage that a dry run saw, by repository and by age; null: not requested"
    )


class CollectionLog(ApiAnswer):
    """The output of the collectors of one collection."""

    started_at: TimeMs = Field(description="start of the collection")
    lines: tuple[str, ...] = Field(description="the whole output, line by line; empty: it is no longer kept")


class RunningCollection(ApiAnswer):
    """The collection that is running."""

    stage: str = Field(description="the current stage, in words")
    stage_since: TimeMs = Field(validation_alias="since_ms", description="start of this stage")
    started_at: TimeMs = Field(validation_alias="started_ms", description="its start")
    reason: str = Field(description="why it was requested")
    done: int = Field(description="objects, manifests or blobs of this stage that are done")
    total: int = Field(description="the number of them; 0: unknown")
    done_bytes: int = Field(description="size of the blobs that are done; 0: unknown")
    total_bytes: int = Field(description="size of all blobs of this stage; 0: unknown")
    percent: int | None = Field(description="the share of this stage that is done; null: unknown")


class PostponedCollection(ApiAnswer):
    """The reason why the requested collection has not started yet."""

    message: str = Field(description="the last reason, in one sentence")
    since: TimeMs = Field(validation_alias="since_ms", description="since when the collection waits")
    at: TimeMs = Field(validation_alias="at_ms", description="when this reason was last found")
    times: int = Field(description="how often this reason was found")


class CollectionGate(ApiAnswer):
    """The write gate while the gate drains or is closed."""

    state: str = Field(
        description="draining: pushes that already began may finish; closed: every write waits; claiming: only writes "
        "that name a blob which is being deleted wait; manifests: manifests wait, too"
    )
    since: TimeMs = Field(validation_alias="since_ms", description="start of the draining")
    reason: str = Field(description="why the collection was requested, or what keeps the gate closed")


class CollectionOverview(ApiAnswer):
    """The state of garbage collections: running, requested and past."""

    running: RunningCollection | None = Field(description="the running collection; null: none is running")
    queued: str | None = Field(description="why a collection is requested; null: none is requested")
    postponed: PostponedCollection | None = Field(description="what the requested collection waits for; null: nothing")
    next_at: TimeMs | None = Field(validation_alias="next_ms", description="next run by gc.schedule; null: no schedule")
    gate: CollectionGate | None = Field(description="the write gate; null: the gate is open")
    permanent: int = Field(description="deletions that the next collection makes permanent, at most")
    garbage: StorageGarbage | None = Field(description="the garbage that was seen last; null: nothing looked for it")
    runs: tuple[CollectionRun, ...] = Field(description="past runs, newest first")


class ReconcileTallyAnswer(ApiAnswer):
    """The figures of a reconcile run."""

    reason: str = Field(description="why the run was requested")
    whole: bool = Field(description="true if the run covers all repositories")
    repositories: int = Field(description="repositories that were compared")
    tags: int = Field(description="tags of the compared repositories")
    changed: int = Field(description="number of tags in which the history differed")
    failed: int = Field(description="repositories that could not be compared")
    message: str = Field(description="the last failure, in one sentence")


class RunningReconcile(ReconcileTallyAnswer):
    """The current reconcile run."""

    started_at: TimeMs = Field(validation_alias="since_ms", description="start of the run")
    listed: bool = Field(description="true if all repositories are listed already")
    todo: int = Field(description="repositories still to be compared")


class LastReconcile(ReconcileTallyAnswer):
    """The last reconcile run that ended."""

    ended_at: TimeMs = Field(validation_alias="at_ms", description="end of the run")
    took_ms: int = Field(description="duration of the run, ms")
    catalog: str = Field(
        description="why only known and configured repositories were compared; empty: the registry's catalog was read"
    )


class Reconciliation(ApiAnswer):
    """The state of the reconcile runs."""

    running: RunningReconcile | None = Field(description="the current run; null: none")
    queued: str | None = Field(description="why a run over all repositories is requested; null: none is requested")
    last: LastReconcile | None = Field(description="the last run that ended; null: none yet")
    next_at: TimeMs | None = Field(
        validation_alias="next_ms", description="next run by reconcile.schedule; null: no schedule"
    )
