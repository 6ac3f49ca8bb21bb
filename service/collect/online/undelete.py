"""Bring data back from quarantine because a user asks for it (`pushprune gc --undelete`)."""

from collections.abc import Iterator, Sequence

from service.collect.attempt import Attempt
from service.collect.online.journal import Journal
from service.collect.online.repair import Repair, write_links
from service.collect.online.run import note_quarantine, objects_of, rules_of
from service.collect.online.survey import Survey
from service.domain.collection.digests import packed, unpacked
from service.domain.collection.run import LISTING
from service.domain.errors import CollectionFailed
from service.domain.policy.units import spell_size
from service.registry.layout import blob_key
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_inventory

_MOST_SENTENCES = 100


def undelete(attempt: Attempt, digests: Sequence[str]) -> None:
    """Bring back these blobs, and what any manifest needs and does not have, with its links.

    The record gets a sentence about each.

    Raises:
        CollectionFailed: a manifest has no data, and none in quarantine.
    """
    objects = objects_of(attempt)
    attempt.progress.at(LISTING)
    sentences = list(_of_digests(attempt, objects, digests))
    try:
        survey = Survey(attempt, objects)
    except CollectionFailed:
        _note(attempt, [*sentences, *_of_lost(objects)])
        raise
    sentences += [
        f"{unpacked(digest)} came back ({spell_size(size_bytes)}): a manifest needs it"
        for digest, size_bytes in survey.repair.returned.items()
    ]
    journal = Journal(objects, attempt.store.claims)
    if journal.load():
        links = write_links(attempt, objects, survey.plan(journal.blobs, rules_of(attempt)).relink)
        sentences += [f"{links} links that manifests need were written again"] if links else []
    note_quarantine(attempt, objects)
    _note(attempt, sentences or ["every manifest has its data, so nothing was brought back"])


def _of_digests(attempt: Attempt, objects: ObjectStore, digests: Sequence[str]) -> Iterator[str]:
    """Bring back these blobs, and yield a sentence about each."""
    repair = Repair(attempt, objects)
    for digest in dict.fromkeys(digests):
        if objects.head(blob_key(digest)) is not None:
            yield f"{digest} has its data: nothing to bring back"
            continue
        returned = repair.bring_back([packed(digest)], lambda _: False)
        if returned:
            yield (
                f"{digest} came back ({spell_size(returned[packed(digest)])}): push or restore an image that needs it "
                "within gc.grace"
            )
        else:
            yield f"{digest} is not in quarantine any more: push it again"


def _of_lost(objects: ObjectStore) -> Iterator[str]:
    """Yield a sentence about each manifest without data."""
    inventory = read_inventory(objects)
    for name, stored in inventory.repositories.items():
        for digest in stored.revisions:
            if inventory.blob(digest) is None:
                yield f"the data of {name}@{unpacked(digest)} is not in quarantine any more: push the image again"


def _note(attempt: Attempt, sentences: Sequence[str]) -> None:
    for sentence in sentences[:_MOST_SENTENCES]:
        attempt.note(sentence)
    if more := len(sentences[_MOST_SENTENCES:]):
        attempt.note(f"and {more} more")
