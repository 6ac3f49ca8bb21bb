"""A busy company: what its CI pushes, by a seeded generator. The same seed gives the same pushes.

Nothing is pushed to a registry: a push is the notifications that a registry would send of it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from service.domain.events import BLOB_TYPE
from service.domain.oci.manifest import OCI_INDEX, OCI_MANIFEST

DAY_US = 86_400 * 1_000_000
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
_BASE_BYTES, _LAYER_BYTES, _CONFIG_BYTES, _MANIFEST_BYTES = 80_000_000, 20_000_000, 4_000, 1_200
# Between the pushes of one build.
_PAUSE_US = 20_000


@dataclass(frozen=True, slots=True)
class Company:
    """The size and the habits of the company.

    Attributes:
        seed: of all random choices.
        repositories: their number. Builds are distributed by Zipf's law: the second repository has half as many as
            the first, the tenth a tenth. Of 10,000, the first has 7.5 % of all builds.
        jobs: CI jobs, each of which pushes `builds` images a day, at any hour.
        builds: of each job and day.
        days: how long the company is played.
        requests: share of builds that are of pull requests. Each pull request is built about four times, under one tag.
            The other builds are of the main branch, with two tags (`main-…` and `latest`), or releases.
        releases: share of releases among the others, with two tags (`v…` and `stable`).
        multi_arch: share of repositories whose images are indexes of two parts.
        signed: share of repositories in which cosign signs all but the images of pull requests.
        layers: new layers of an image, on average. The base image of its repository is known to the registry, and not
            pushed again.
    """

    seed: int = 1
    repositories: int = 10_000
    jobs: int = 200
    builds: int = 10
    days: float = 30
    requests: float = 0.6
    releases: float = 0.05
    multi_arch: float = 0.15
    signed: float = 0.2
    layers: float = 2.0


@dataclass(frozen=True, slots=True)
class CompanyPush:
    """One manifest that was pushed.

    Attributes:
        at_us: when.
        tag: "" for a part of an index.
        children: the parts of an index.
        bodies: the notifications, blobs first.
    """

    at_us: int
    repository: str
    tag: str
    digest: str
    children: tuple[str, ...]
    bodies: tuple[bytes, ...]


def pushes(company: Company, end_us: int) -> Iterator[CompanyPush]:
    """Yield the pushes of all days, in order. end_us: when the last day ends."""
    random = _seeded(company.seed)
    builds = dict.fromkeys(range(company.repositories), 0)
    count = round(company.jobs * company.builds * company.days)
    begin_us, step_us = end_us - round(company.days * DAY_US), company.days * DAY_US / max(1, count)
    for nth in range(count):
        # The logarithm of the rank is uniform, so the probability of a rank is about its reciprocal.
        number = int((company.repositories + 1) ** random.random()) - 1
        builds[number] += 1
        yield from _Build(company, random, number, builds[number]).pushes(begin_us + round(nth * step_us))


class _Build:
    """One build of one repository."""

    def __init__(self, company: Company, random: Random, number: int, build: int) -> None:
        self._company, self._random, self._build = company, random, build
        self._repository = f"team{number % 97:02}/service{number:05}"
        self._seed = f"{company.seed} {self._repository} {build}"
        self._digest = digest_of(self._seed)
        of_repository = _seeded(f"{company.seed} {self._repository}")
        self._is_multi_arch = of_repository.random() < company.multi_arch
        self._is_signed = of_repository.random() < company.signed

    def pushes(self, at_us: int) -> Iterator[CompanyPush]:
        """Yield the pushes of the build in order: parts of an index, its tags, its signature. at_us: of the first."""
        is_request, tags = self._tags()
        parts = tuple(digest_of(f"{self._seed} {arch}") for arch in ("amd64", "arm64")) if self._is_multi_arch else ()
        manifests: list[tuple[str, str, tuple[str, ...]]] = [("", part, ()) for part in parts]
        manifests += [(tag, self._digest, parts) for tag in tags]
        if self._is_signed and not is_request:
            signature = f"sha256-{self._digest.removeprefix('sha256:')}.sig"
            manifests.append((signature, digest_of(f"{self._seed} signature"), ()))
        pushed = ""
        for nth, (tag, digest, children) in enumerate(manifests):
            # The second tag of an image needs no blobs: the registry has them.
            yield self._push(at_us + nth * _PAUSE_US, tag, digest, children, has_blobs=digest == pushed)
            pushed = digest

    def _tags(self) -> tuple[bool, tuple[str, ...]]:
        """Return True if the build is of a pull request, and its tags."""
        build = self._build
        if self._random.random() < self._company.requests:
            # Ten pull requests are open in a repository.
            return True, (f"pr-{build // 40 * 10 + self._random.randrange(10)}",)
        if self._random.random() < self._company.releases:
            return False, (f"v{build // 1000}.{build // 50}.{build}", "stable")
        return False, (f"main-{build}-{self._digest[7:15]}", "latest")

    def _push(self, at_us: int, tag: str, digest: str, children: tuple[str, ...], *, has_blobs: bool) -> CompanyPush:
        repository, media_type, blobs = self._repository, OCI_INDEX, []
        references = [_descriptor(OCI_MANIFEST, child, _MANIFEST_BYTES) for child in children]
        if not children:
            media_type, blobs = OCI_MANIFEST, self._blobs(digest)
            references = [_descriptor(LAYER, digest_of(f"{repository} base"), _BASE_BYTES), *blobs]
            blobs = [] if has_blobs else blobs
        bodies = [_notification(at_us, repository, "", blob["digest"], BLOB_TYPE) for blob in blobs]
        bodies.append(_notification(at_us, repository, tag, digest, media_type, references))
        return CompanyPush(at_us, repository, tag, digest, children, tuple(bodies))

    def _blobs(self, digest: str) -> list[dict[str, Any]]:
        """Return the descriptors of the new layers and the config of an image. They depend on its digest alone."""
        count = round(_seeded(digest).expovariate(1 / self._company.layers))
        layers = [_descriptor(LAYER, digest_of(f"{digest} {nth}"), _LAYER_BYTES) for nth in range(count)]
        return [*layers, _descriptor(CONFIG, digest_of(f"{digest} config"), _CONFIG_BYTES)]


def _descriptor(media_type: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _notification(
    at_us: int, repository: str, tag: str, digest: str, media_type: str, references: list[dict[str, Any]] | None = None
) -> bytes:
    """Return the body of a notification as Distribution 3 sends it. references: of a manifest."""
    target = {"mediaType": media_type, "size": _MANIFEST_BYTES, "length": _MANIFEST_BYTES, "digest": digest}
    target |= {"repository": repository, "url": f"http://registry/v2/{repository}/manifests/{digest}"}
    target |= {"tag": tag} if tag else {}
    target |= {"references": references} if references else {}
    event = {
        "id": digest_of(f"{at_us} {repository} {tag} {digest}")[7:39],
        "timestamp": datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat().replace("+00:00", "Z"),
        "action": "push",
        "target": target,
        "request": {"addr": "10.0.3.7:51234", "host": "registry", "method": "PUT", "useragent": "docker/29.0.1"},
        "actor": {"name": f"ci-{repository.partition('/')[0]}"},
        "source": {"addr": "registry:5000", "instanceID": "6f5c"},
    }
    return json.dumps({"events": [event]}).encode()


def _seeded(seed: int | str) -> Random:
    return Random(seed)  # noqa: S311  the same seed must give the same pushes


def digest_of(text: str) -> str:
    """Return a digest that the text determines."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
