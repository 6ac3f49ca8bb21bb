"""A plan that waits for approval."""

import hashlib
import json
from dataclasses import dataclass

from service.domain.retention.plan import Plan


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits for approval.

    Attributes:
        reason: one sentence.
        at_us: since when the repository has had a waiting plan without a break (µs).
        digests: the manifests that the plan would delete.
        plan: the plan's name, derived from the digests: other digests, other name.
        policy: the fingerprint of the policy that made the plan.
    """

    repository: str
    reason: str
    at_us: int
    digests: tuple[str, ...]
    plan: str
    policy: str = ""


def packed_hold(plan: Plan) -> str:
    """Return the JSON of held:R without `at_us`, which the script adds."""
    digests = [doomed.digest for doomed in plan.doomed]
    return json.dumps({"reason": plan.hold, "policy": plan.hold_under, "digests": digests})


def unpack_hold(repository: str, text: str) -> Hold:
    packed = json.loads(text)
    digests = tuple(packed["digests"])
    # Sorted, so that the same digests always give the same name.
    name = hashlib.sha256(" ".join(sorted(digests)).encode()).hexdigest()[:12]
    return Hold(repository, packed["reason"], int(packed["at_us"]), digests, name, packed.get("policy", ""))
