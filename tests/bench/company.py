"""A busy company: what its CI pushes in a month, by a seeded generator. The same seed gives the same month."""

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


@dataclass(frozen=True, slots=True)
class Company:
    """The size and the habits of the company.

    Attributes:
        jobs: CI jobs, each of which pushes `builds` images a day. Few repositories get most builds (Pareto).
        requests: share of builds of pull requests; the others are of main, or a release.
        releases: share of releases among the others.
        multi_arch: share of repositories whose images are indexes of two parts.
        signed: share of repositories in which what is no pull request is signed by cosign.
        layers: new layers of an image, on average; others are known to the registry and not pushed.
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
class Pushed:
    """One manifest that was pushed. children: of an index. bodies: the notifications, blobs first."""

    at_us: int
    repository: str
    tag: str
    digest: str
    children: tuple[str, ...]
    bodies: tuple[bytes, ...]


def month(company: Company, end_us: int) -> Iterator[Pushed]:
    """Yield the pushes, in order. end_us: when the month ends."""
    random = Random(company.seed)
    names = [f"team{number % 97:02}/service{number:05}" for number in range(company.repositories)]
    builds = dict.fromkeys(names, 0)
    count = round(company.jobs * company.builds * company.days)
    begin_us, step_us = end_us - round(company.days * DAY_US), company.days * DAY_US / max(1, count)
    for nth in range(count):
        name = names[min(int(random.paretovariate(0.6)) - 1, 10**9) % len(names)]
        builds[name] += 1
        at_us = begin_us + round(nth * step_us)
        yield from _build(company, random, name, builds[name], at_us)


def _build(company: Company, random: Random, name: str, build: int, at_us: int) -> Iterator[Pushed]:
    of_name = Random(f"{company.seed} {name}")
    is_multi_arch, is_signed = of_name.random() < company.multi_arch, of_name.random() < company.signed
    seed = f"{company.seed} {name} {build}"
    tags: tuple[str, ...]
    if random.random() < company.requests:
        # Ten pull requests are open in a repository; each is built several times.
        tags, is_signed = (f"pr-{build // 40 * 10 + random.randrange(10)}",), False
    elif random.random() < company.releases:
        tags = (f"v{build // 1000}.{build // 50}.{build}", "stable")
    else:
        tags = (f"main-{build}-{digest_of(seed)[7:15]}", "latest")
    children = tuple(digest_of(f"{seed} {arch}") for arch in ("amd64", "arm64")) if is_multi_arch else ()
    for child in children:
        yield _pushed(company, random, at_us, name, "", child)
        at_us += 40_000
    for tag in tags:
        yield _pushed(company, random, at_us, name, tag, digest_of(seed), children)
        at_us += 20_000
    if is_signed:
        signature = f"sha256-{digest_of(seed)[7:]}.sig"
        yield _pushed(company, random, at_us, name, signature, digest_of(f"{seed} signature"))


def _pushed(
    company: Company,
    random: Random,
    at_us: int,
    repository: str,
    tag: str,
    digest: str,
    children: tuple[str, ...] = (),
) -> Pushed:
    layers = (
        []
        if children
        else [digest_of(f"{digest} {nth}") for nth in range(round(random.expovariate(1 / company.layers)))]
    )
    blobs = [] if children else [*layers, digest_of(f"{digest} config")]
    references = [{"mediaType": LAYER, "digest": layer, "size": 20_000_000} for layer in layers]
    references += [{"mediaType": CONFIG, "digest": blob, "size": 4_000} for blob in blobs[-1:]]
    references += [{"mediaType": OCI_MANIFEST, "digest": child, "size": 1_200} for child in children]
    bodies = [_body(at_us, repository, "", blob, BLOB_TYPE, []) for blob in blobs]
    bodies.append(_body(at_us, repository, tag, digest, OCI_INDEX if children else OCI_MANIFEST, references))
    return Pushed(at_us, repository, tag, digest, children, tuple(bodies))


def _body(
    at_us: int, repository: str, tag: str, digest: str, media_type: str, references: list[dict[str, Any]]
) -> bytes:
    target = {"mediaType": media_type, "size": 1_200, "length": 1_200, "digest": digest, "repository": repository}
    target |= {"url": f"http://registry/v2/{repository}/manifests/{digest}"}
    target |= {"tag": tag} if tag else {}
    target |= {"references": references} if references else {}
    event = {
        "id": digest_of(f"{at_us} {repository} {tag} {digest}")[7:39],
        "timestamp": datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat().replace("+00:00", "Z"),
        "action": "push",
        "target": target,
        "request": {"addr": "10.0.3.7:51234", "host": "registry", "method": "PUT", "useragent": "docker/29.0.1"},
        "actor": {"name": "ci-bot"},
        "source": {"addr": "registry:5000", "instanceID": "6f5c"},
    }
    return json.dumps({"events": [event]}).encode()


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
