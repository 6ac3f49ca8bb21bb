"""A repository in Redis, and everything that changes its tags."""

import itertools

from service.domain.oci.manifest import OCI_INDEX, References
from service.domain.retention.planner import plan_deletions
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.deletions import Deletions
from service.store.facts import Proof, RegistryFacts
from service.store.history import History
from service.store.limits import Limits
from service.store.outbox import Outbox
from service.store.restorations import Restorations, RestoredManifest
from service.store.snapshot import Snapshot
from service.store.usage import UsageRecords
from tests.support.makers import policy
from tests.support.record import NOW, digest, event, record

SHOP = "shop/api"
KEEP_TWO = policy("rules: [{name: last, keep: {last: 2}}]\nhold_over: 100%")


class ChangingRepository:
    """Everything that changes the tags of a repository. name: of a tag; seed: of a digest; number: a time."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.history = connection, History(connection)
        self.facts, self.deletions = RegistryFacts(connection), Deletions(connection, Limits(), 3600)
        self.numbers = itertools.count(1)

    def push(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "push", name, seed, id=self._id()))

    def push_newest(self, name: str, seed: str, number: int) -> None:
        self.push(name, seed, 1000 + next(self.numbers))

    def push_index(self, name: str, seed: str, number: int) -> None:
        index = event(number, "push", name, f"index {seed}", id=self._id(), media_type=OCI_INDEX, size_bytes=0)
        record(self.history, index)

    def push_by_digest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "push", None, seed, id=self._id()))

    def pull(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "pull", name, seed, id=self._id()))

    def pull_by_digest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "pull", None, seed, id=self._id()))

    def delete_tag(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "delete", name, id=self._id(), digest=None, media_type=""))

    def delete_manifest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "delete", None, seed, id=self._id()))

    def prune(self, name: str, seed: str, number: int) -> None:
        snapshot = self.snapshot
        made = plan_deletions(snapshot, KEEP_TWO, NOW + 10**12)
        self.history.commit(snapshot, made, "doomed")
        for image in made.doomed[:1]:
            if image.only_tags or number % 2:
                self.deletions.untagged(SHOP, [(image, image.verdicts)])
            else:
                self.deletions.forget(snapshot, image)

    def adopt(self, name: str, seed: str, number: int) -> None:
        sighting = Tag(name, digest(seed), NOW + number * 1000, unannounced=True)
        self.facts.adopt(self.snapshot, [(sighting, "")], indexes=frozenset([sighting.digest] if number % 2 else []))

    def vanish(self, name: str, seed: str, number: int) -> None:
        self.facts.adopt(self.snapshot, vanished=[name])

    def find(self, name: str, seed: str, number: int) -> None:
        self.facts.adopt(self.snapshot, [(Tag(name, digest(seed), None, found=True), "")])

    def date(self, name: str, seed: str, number: int) -> None:
        self.facts.date(self.snapshot, {digest(seed): NOW + number})

    def prove(self, name: str, seed: str, number: int) -> None:
        proofs = [Proof(tag, is_index=False, link_us=None) for tag in self.snapshot.tags if tag.name == name]
        self.facts.prove(self.snapshot, proofs)

    def prove_time(self, name: str, seed: str, number: int) -> None:
        tags = [tag for tag in self.snapshot.tags if tag.name == name]
        self.facts.prove(self.snapshot, [Proof(tag, is_index=True, link_us=NOW + number) for tag in tags])

    def resolve(self, name: str, seed: str, number: int) -> None:
        children = (digest(seed),) if number % 2 else ()
        self.facts.resolve(self.snapshot, {digest(f"index {seed}"): References(children=children)})

    def miss(self, name: str, seed: str, number: int) -> None:
        self.facts.resolve(self.snapshot, {digest(seed): None})

    def weigh(self, name: str, seed: str, number: int) -> None:
        sizes = {tag: number for tag in self.snapshot.tags if tag.name == name}
        UsageRecords(self.connection).note_image_sizes(SHOP, sizes)

    def restore(self, name: str, seed: str, number: int) -> None:
        restorations = Restorations(self.connection, Limits())
        restored = RestoredManifest(name, digest(seed), NOW + number, 400, None, "ci", "amy", "wanted")
        before = restorations.pushed_at(SHOP, name)
        restorations.restored(SHOP, restored, before, restorations.now_us())

    def make_due(self, name: str, seed: str, number: int) -> None:
        Outbox(self.connection).mark_due([SHOP])

    def lose_notes(self, name: str, seed: str, number: int) -> None:
        self.connection.client.delete(self.connection.keys.of("pushes", SHOP))

    def forget_notes(self, name: str, seed: str, number: int) -> None:
        self.connection.client.delete(self.connection.keys.of("voided", SHOP))

    @property
    def snapshot(self) -> Snapshot:
        return History(self.connection).snapshot(SHOP)

    def _id(self) -> str:
        return f"event {next(self.numbers)}"


CHANGES = tuple(
    name for name, change in vars(ChangingRepository).items() if callable(change) and not name.startswith("_")
)
