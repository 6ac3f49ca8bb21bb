"""Which manifests a collector must mark: all that may stand in a repository."""

from collections.abc import Mapping

from service.domain.retention.state import State


def may_stand(state: State) -> Mapping[str, str]:
    """Every manifest that the history knows of, digest → its name: with a tag, once with a tag, and without one.

    And the parts of indexes, referrers, and what these are about. Whether one still stands, only the registry knows: a
    collector marks every manifest there is, tagged or not, so one that stands and is not marked would be broken.
    """
    found = {one.digest for one in state.untagged}
    for revisions in state.revisions.values():
        found.update(revisions)
    for digest, known in state.links.items():
        found.add(digest)
        if known:
            found.update(known.children, [known.subject] if known.subject else [])
    named = {digest: f"{state.repository}@{digest}" for digest in found}
    return named | {tag.digest: f"{tag.called(state.repository)} ({tag.digest})" for tag in state.tags}
