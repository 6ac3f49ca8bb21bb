"""All that may stand in a repository must be marked, and is called by its name."""

from service.domain.oci.manifest import References
from service.domain.retention.state import State, Tag, Untagged


def test_every_manifest_that_the_history_knows_may_exist() -> None:
    state = State(
        repository="shop/api",
        tags=(Tag("v1", "sha256:a", 1), Tag("multi", "sha256:i", 1)),
        links={
            "sha256:i": References(children=("sha256:c",)),
            "sha256:s": References(subject="sha256:x"),
            "sha256:u": None,
        },
        untagged=(Untagged("sha256:n", 1),),
        revisions={"v1": ("sha256:r",)},
    )
    assert state.known_manifests() == {
        "sha256:a": "shop/api:v1 (sha256:a)", "sha256:i": "shop/api:multi (sha256:i)",
        **{f"sha256:{name}": f"shop/api@sha256:{name}" for name in "csxunr"},
    }  # fmt: skip
