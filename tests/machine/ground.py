"""The wirings over one Redis: costly to build, and the same for all examples of a test."""

import shutil
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, cast

from service.domain.policy.model import Policy
from service.registry.bucket_deletion import BucketDeletion
from service.registry.bucket_storage import BucketStorage
from service.settings import load_settings
from service.store.connection import connect
from service.store.keys import Keys
from service.store.remembered_tags import RememberedTags
from service.store.script import lua_script, script_names
from service.wiring import Wiring, wire
from tests.conftest import Messages, messages_of
from tests.fakes import direct
from tests.fakes.registry_storage import Driver, Version
from tests.machine.disk import Disk, disk_of
from tests.machine.mortal import Life, mortal
from tests.machine.oracle import FIRST, Rule
from tests.machine.played_bucket import PlayedBucket
from tests.machine.shops import FakeShop, Notify, RealShop, Shop

_URL = "http://registry.test"


@dataclass
class Ground:
    """The wirings over one Redis: costly to build, and the same for all examples of a test.

    Attributes:
        via: `delete.via`, if the storage of the registry is mounted; "" if it is not.
    """

    url: str
    folder: Path
    real: RealShop | None = None
    via: str = ""
    obeys: bool = True
    disk: Disk = field(default_factory=Disk)
    life: Life = field(default_factory=Life)
    wirings: dict[Rule, Wiring] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plain = connect(self.url)
        for name in script_names():
            # Otherwise the first run of a script takes more steps than the next, and a kill meets another step.
            self.plain.script_load(lua_script(name).text)
        self.client = mortal(self.url, self.life)
        self.sender = direct.NetworkSender() if self.real else direct.DirectSender()

    def shop(self, version: Version, notify: Notify, driver: Driver = "filesystem") -> Shop:
        """The registry of one example; the real one is the same for all, and there is only one example."""
        if self.real:
            self.real.notify = notify
            return self.real
        disk = disk_of(self.folder) if self.via else None
        if disk:
            shutil.rmtree(disk, ignore_errors=True)
            disk.mkdir()
        made = FakeShop(version, notify, "s3" if self.via == "bucket" else driver, disk)
        cast(direct.DirectSender, self.sender).fake = made.fake
        return made

    def wiring(self, rule: Rule, keys: Keys) -> Wiring:
        """The workers' collaborators for one policy, under a prefix of their own."""
        if rule not in self.wirings:
            self.wirings[rule] = self._wire(rule)
        made = self.wirings[rule]
        made.store.connection.keys = keys
        for part in vars(made.store).values():
            if hasattr(part, "_keys"):
                part._keys = keys
        made.store.capabilities._key = keys.of("capabilities")
        # As in a large repository, so that plans set settled tags aside. No example knows the tags of another.
        made.store.history._remembered = RememberedTags(least_tags=0)
        messages_of(made).sent.clear()
        return made

    def _wire(self, rule: Rule) -> Wiring:
        settings = load_settings(
            environ={},
            redis={"url": self.url},
            registry={"url": self.real.real.url if self.real else _URL},
            policy=policy_of(rule),
            data_dir=self.folder,
            delete={"parallel": 1, "via": "storage" if self.via == "storage" else "api"},
            storage={"path": str(disk_of(self.folder))} if self.via in ("storage", "api") else {},
            log={"level": "error"},
        )
        made = wire(settings, client=self.client)
        if self.via == "bucket":
            objects = PlayedBucket(disk_of(self.folder), self.disk, obeys=self.obeys)
            storage = BucketStorage(objects)
            deletion = BucketDeletion(storage, made.registry.client)
            registry = replace(made.registry, objects=objects, storage=storage, in_storage=deletion)
            made = replace(made, registry=registry)
        object.__setattr__(made, "dispatch", Messages())
        direct.connect(made.registry.client, self.sender)
        # Known for good: a look at Redis that comes by the clock would make the count of steps a matter of chance.
        made.store.history.word._known = "machine", inf
        return made


def policy_of(rule: Rule) -> Policy:
    """The rule in the product's words."""
    keep = {"last": rule.keep, "revisions": rule.revisions}
    shared: dict[str, Any] = {"untagged": 0} if rule.untagged else {}
    last = {"name": "last", "keep": {word: number for word, number in keep.items() if number}, **shared}
    last |= {"count": rule.count, "order": rule.order} | ({"group": r"^(\w+)-"} if rule.is_grouped else {})
    word, _, final = rule.first.partition(", ")
    first = {"name": "first", "tags": list(FIRST), "keep": word, "final": bool(final), **shared}
    return Policy.model_validate(
        {
            "hold_over": 100,
            "hold_min": 1_000_000,
            "first_plan": "apply",
            "protect": sorted(rule.protect),
            "shared": rule.shared,
            "rules": [first, last] if rule.first else [last],
        }
    )
