"""A plan that waits for approval."""

import hashlib
import json
from dataclasses import dataclass

from service.domain.retention.plan import Plan


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits. reason: one sentence; at_us: since when one of its kind has waited; digests: what it would
    delete; plan: its name, another for other digests; policy: the fingerprint of the policy that made it."""

    repository: str
    reason: str
    at_us: int
    digests: tuple[str, ...]
    plan: str
    policy: str = ""


def packed_hold(plan: Plan) -> str:
    """The JSON of held:R, without its time, which is the script's to say."""
    digests = [doomed.digest for doomed in plan.doomed]
    return json.dumps({"reason": plan.hold, "policy": plan.hold_under, "digests": digests})


def unpack_hold(repository: str, text: str) -> Hold:
    packed = json.loads(text)
    digests = tuple(packed["digests"])
    name = hashlib.sha256(" ".join(sorted(digests)).encode()).hexdigest()[:12]
    return Hold(repository, packed["reason"], int(packed["at_us"]), digests, name, packed.get("policy", ""))
