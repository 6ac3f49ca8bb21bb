"""The manifests that a collector must mark: all that may exist in a repository."""

from collections.abc import Mapping

from service.domain.retention.state import State


def may_stand(state: State) -> Mapping[str, str]:
    """Return every manifest that the history knows of, as digest → its name.

    These are manifests with a tag, with a former tag or without a tag, parts of indexes, referrers and their subjects.
    A collector marks every manifest that exists, tagged or not. So a manifest that exists and is not marked would be
    broken by the collection. Only the registry knows which of these manifests still exist.
    """
    digests = {untagged.digest for untagged in state.untagged}
    for revisions in state.revisions.values():
        digests.update(revisions)
    for digest, known in state.links.items():
        digests.add(digest)
        if known:
            digests.update(known.children, [known.subject] if known.subject else [])
    named = {digest: f"{state.repository}@{digest}" for digest in digests}
    return named | {tag.digest: f"{tag.called(state.repository)} ({tag.digest})" for tag in state.tags}
