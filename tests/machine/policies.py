"""The policies that the machine runs. The environment variable MACHINE_POLICY names one kind for all examples."""

import os
from typing import Any

from hypothesis import strategies as st

from tests.machine.oracle import Rule

GROUPED = {"v1": "a-1", "v2": "a-2", "v3": "b-1", "v4": "b-2", "v5": "c-1", "v6": "c-2"}


def _rules(**fields: Any) -> st.SearchStrategy[Rule]:
    usual = {
        "keep": st.sampled_from((1, 2)),
        "count": st.sampled_from(("digests", "tags")),
        "untagged": st.booleans(),
        "tags_first": st.booleans(),
        "step": st.sampled_from((1, 1, 100)),
    }
    return st.builds(Rule, **{**usual, **fields})


_LAST = _rules()
KINDS = {
    "last": _LAST,
    "revisions": _rules(
        keep=st.sampled_from((0, 0, 1, 2)),
        untagged=st.sampled_from((True, True, False)),
        revisions=st.sampled_from((1, 2)),
    ),
    "shared": _rules(shared=st.just("keep")),
    "name": _rules(order=st.just("name")),
    # A rule with groups decides about no manifest that has lost a tag without a group.
    "groups": _rules(untagged=st.just(value=False), keep=st.just(1), is_grouped=st.just(value=True)),
    "two": _rules(first=st.sampled_from(("always", "always, final", "none", "none, final"))),
}
rules = KINDS.get(os.environ.get("MACHINE_POLICY", ""), st.one_of(_LAST, _LAST, *KINDS.values()))
