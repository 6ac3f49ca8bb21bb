"""Sizes over the real registry, for 20 images of all kinds: as skopeo sees them, and as the disk has them."""

import json
import subprocess
from typing import Any

from service.domain.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST
from tests.fakes.images import Image, image_over, index_over, make_image, make_index, noise
from tests.live.conftest import Live, LiveSystem, last, wait_until

# So large that the bytes of manifests, which are no part of the size of an image, are less than a hundredth.
BASE, LAYER_BYTES = noise("base", 400_000), 200_000
ARM = "arm64"


def images(way: str) -> dict[str, Image]:
    """Ten images of all kinds, of which several share layers."""
    shared = [image_over([BASE, noise(f"{way}/{name}", LAYER_BYTES)], f"{way}/{name}") for name in "abc"]
    arm = image_over([BASE, noise(f"{way}/arm", LAYER_BYTES)], f"{way}/arm", architecture=ARM)
    docker = image_over([BASE, noise(f"{way}/docker", LAYER_BYTES)], f"{way}/docker", DOCKER_MANIFEST)
    return {
        "a": shared[0], "b": shared[1], "docker": docker,
        "single": make_image(f"{way}/single", layer_bytes=LAYER_BYTES),
        "many": image_over([noise(f"{way}/many/{number}", 9000) for number in range(20)], f"{way}/many"),
        "multi": index_over([shared[2], arm]),
        "nested": index_over([index_over([shared[0], arm], seed=way)], seed=f"{way}/nested"),
        "list": make_index(f"{way}/list", media_type=DOCKER_LIST, layers=5),
        "artifact": make_image(f"{way}/artifact", layer_bytes=LAYER_BYTES, subject=shared[0]),
        "empty": make_image(f"{way}/empty", layers=0),
    }  # fmt: skip


def seen_by_skopeo(system: LiveSystem, repository: str, reference: str) -> dict[str, int]:
    """The config and layers of an image, each with its size, as its manifests say that skopeo reads."""
    host = system.url.removeprefix("http://")
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{host}/{repository}{reference}"]
    body: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    parts = [seen_by_skopeo(system, repository, f"@{part['digest']}") for part in body.get("manifests", ())]
    blobs = [body["config"], *body["layers"]] if "config" in body else []
    return {blob["digest"]: blob["size"] for blob in blobs} | {
        key: size for part in parts for key, size in part.items()
    }


def sizes(system: LiveSystem, repository: str) -> dict[str, int]:
    return {tag.name: tag.size_bytes for tag in system.store.history.live(repository)}


def test_sizes_are_those_of_skopeo_and_their_sum_is_what_the_disk_has(live: Live) -> None:
    system = live(policy=last(1000))
    for tag, image in images("imported").items():
        system.pusher.push("old/imported", tag, image)
    wait_until(lambda: len(sizes(system, "old/imported")) == 10, "the pushes were not heard")
    client: Any = system.store.connection.client
    # All that the events said is forgotten: the worker imports these images.
    client.flushdb()
    for tag, image in images("pushed").items():
        system.pusher.push("shop/pushed", tag, image)
    system.start_worker()
    repositories = ("old/imported", "shop/pushed")
    wait_until(lambda: all(len(sizes(system, name)) == 10 for name in repositories), "not everything is known")
    wait_until(lambda: all(all(sizes(system, name).values()) for name in repositories), "a size is unknown")
    for name in repositories:
        assert sizes(system, name) == {
            tag: sum(seen_by_skopeo(system, name, f":{tag}").values()) for tag in images("any")
        }
    on_disk = sum(path.stat().st_size for path in system.registry.storage_path.rglob("blobs/sha256/*/*/data"))
    # A hundredth: the manifests.
    wait_until(lambda: (usage := system.store.usage.now()) and 0.99 * on_disk < usage.size_bytes < on_disk,
               f"the storage used is not what the disk has: {on_disk} bytes, {system.store.usage.now()}")  # fmt: skip
