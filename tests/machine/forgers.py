"""Holders of the notify token who report events that never happened; the model ignores them."""

from datetime import timedelta

from service.domain.oci import tombstone
from service.domain.oci.manifest import OCI_INDEX
from service.store.keys import FOUND_AND_UNANNOUNCED
from tests.fakes.forger import Forger, invented
from tests.machine.goods import INDEXES, signature_tag
from tests.machine.shops import SHOP
from tests.machine.users import Deed
from tests.machine.world import World

LIES = (
    "wrong list",
    "no list",
    "invented index",
    "delete it",
    "delete tag",
    "delete digest",
    "move",
    "go back",
    "invent",
    "call an image",
    "age parts",
    "sign",
    "bury",
    "pull",
)
_AGENTS = ("docker/29", "docker/29", "pushprune/0.1.0 (guessed)")
_ACTORS = ("alice", "", FOUND_AND_UNANNOUNCED)
_TIMES = (timedelta(), timedelta(), timedelta(minutes=9), timedelta(hours=-2))


class Forgers:
    """Users with the notify token, who report an event or two that never happened, at any time, as any user."""

    def __init__(self, world: World) -> None:
        self._world, self._registry, self._model = world, world.registry, world.model

    def do(self, lie: Deed) -> None:
        """Send the events of a lie. The number of the lie makes its open choices."""
        number = lie.number
        agent, actor = _AGENTS[number % len(_AGENTS)], _ACTORS[number // 2 % len(_ACTORS)]
        self._forged = Forger(self._world.forge, SHOP, actor=actor, agent=agent)
        self._later = _TIMES[number % len(_TIMES)]
        getattr(self, f"_{lie.what.replace(' ', '_')}")(lie)

    def take_apart(self, index: str, order: tuple[int, ...]) -> None:
        """Report an index with other parts, and its true parts as those of an index that was deleted."""
        steps = (
            lambda: self._forged.push_index(None, index, invented("part")),
            lambda: self._forged.push_index("j", invented("index"), *self._model.children.get(index, ())),
            lambda: self._delete_it(Deed("", "", 0)),
        )
        for nth in order:
            self._forged = Forger(self._world.forge, SHOP)
            steps[nth]()
            self._world.settle()

    def _wrong_list(self, lie: Deed) -> None:
        """Report an index with parts that it does not have, or an image with parts."""
        tag = "j" if lie.number % 2 else None
        self._forged.push_index(tag, self._digest(lie.number), self._digest(lie.number + 1), later=self._later)

    def _no_list(self, lie: Deed) -> None:
        """Report a manifest as an index without naming parts."""
        self._forged.push(None, self._digest(lie.number), OCI_INDEX, later=self._later)

    def _invented_index(self, lie: Deed) -> None:
        """Report an index that was never pushed, with the parts of real indexes."""
        parts = {part for index in INDEXES for part in self._model.children.get(index.digest, ())}
        self._forged.push_index("j" if lie.number % 2 else lie.tag, invented("index"), *sorted(parts))

    def _delete_it(self, lie: Deed) -> None:
        self._forged.delete(invented("index"))
        self._forged.delete(tag="j")

    def _delete_tag(self, lie: Deed) -> None:
        self._forged.delete(tag=lie.tag, later=self._later)

    def _delete_digest(self, lie: Deed) -> None:
        self._forged.delete(self._digest(lie.number), later=self._later)

    def _move(self, lie: Deed) -> None:
        """Report that a tag points at another image, or was deleted."""
        digest = invented(lie.tag) if lie.number % 2 else self._digest(lie.number)
        self._forged.push(lie.tag, digest, later=self._later)

    def _go_back(self, lie: Deed) -> None:
        """Report that a tag points again at an earlier image."""
        left = sorted(self._model.stood.get(lie.tag, {invented(lie.tag)}))
        self._forged.push(lie.tag, left[lie.number % len(left)], later=self._later)

    def _invent(self, lie: Deed) -> None:
        self._forged.push(f"x{lie.number}", invented(f"x{lie.number}"), later=self._later)

    def _call_an_image(self, lie: Deed) -> None:
        """Report an index as an image that was pushed long ago; as pushed now, the report would be true."""
        self._forged.push(lie.tag, self._registry.tags().get(lie.tag, invented("image")), later=_TIMES[-1])

    def _age_parts(self, lie: Deed) -> None:
        for part in self._model.children.get(INDEXES[lie.number % len(INDEXES)].digest, ()):
            self._forged.push(None, part, later=_TIMES[-1])

    def _sign(self, lie: Deed) -> None:
        """Report an image as the signature of an image that was deleted."""
        self._forged.push(signature_tag(invented("gone")), self._digest(lie.number), later=self._later)
        self._forged.delete(invented("gone"))

    def _bury(self, lie: Deed) -> None:
        """Report that a tag points at a tombstone."""
        self._forged.push(lie.tag, tombstone.FIRST.digest, tombstone.MEDIA_TYPE, later=self._later)

    def _pull(self, lie: Deed) -> None:
        self._forged.pull(lie.tag, self._digest(lie.number), later=self._later)

    def _digest(self, number: int) -> str:
        """Return the digest of a manifest that exists or existed."""
        known = sorted(self._model.contents) or [invented("first")]
        return known[number % len(known)]
