"""`pushprune rm` over the real registry deletes what the user named, and no more, also if a worker dies meanwhile."""

from tests.fakes.images import make_image, make_index
from tests.live.conftest import Live, last, pushprune, wait_until


def test_all_but_some_are_deleted_although_the_worker_dies_in_the_middle_and_one_comes_back(live: Live) -> None:
    system = live(policy=last(1000), delete={"parallel": 1, "batch_size": 10})
    index, names = make_index("multi"), {f"v{number:02}" for number in range(40)}
    for name in sorted(names):
        system.pusher.push_image("shop/api", name, layers=0)
    system.pusher.push("shop/api", "multi", index)
    signature = index.digest.replace(":", "-") + ".sig"
    system.pusher.push("shop/api", signature, make_image(signature))
    system.pusher.push_image("shop/api", "latest")
    every = names | {"multi", signature, "latest"}
    worker = system.start_worker()
    wait_until(lambda: system.heard("shop/api", every) and system.quiet(), "the pushes were not heard")

    output = pushprune(system, "rm", "--all-but", "latest", "--all-but", "v3?", "shop/*", "--yes", "--no-wait")
    assert "requested: 31 deletions" in output
    wait_until(lambda: system.tags("shop/api") < every, "nothing goes")
    system.kill(worker)
    system.start_worker()
    kept = {f"v{number}" for number in range(30, 40)} | {"latest"}
    wait_until(lambda: system.tags("shop/api") == kept, "the signature did not follow its image")
    wait_until(system.quiet, "it does not come to rest")
    for name in kept:
        system.pusher.pull_whole("shop/api", name)
    part = index.children[0].digest
    wait_until(lambda: system.pusher.digest_of("shop/api", part) is None, "a part of the index stayed")

    assert "deleted: 5" in pushprune(system, "rm", "shop/api:v3[0-4]", "--yes")
    kept -= {f"v{number}" for number in range(30, 35)}
    assert system.tags("shop/api") == kept
    pushprune(system, "restore", "shop/api:multi")
    assert system.tags("shop/api") == kept | {"multi", signature}
    system.pusher.pull_whole("shop/api", "multi")
