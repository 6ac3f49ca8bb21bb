"""Check the registry: it answers, accepts the login, deletes, caches no deleted blobs, and has the right time."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from service.doctor.case import Case, not_now
from service.domain.errors import (
    AccessDenied,
    ConfigurationError,
    DeletesDisabled,
    RegistryRefused,
    RegistryTooOld,
    RegistryUnavailable,
)
from service.domain.finding import Finding, error, fine, skipped, warning
from service.registry.listing import HIDES, deletes_single_tags, lists_every_tag, untried
from service.registry.probe import UNKNOWN

NO_DELETES = "storage: {delete: {enabled: true}}   # in the registry's config.yml, then restart it"
WRITABLE = "storage: {maintenance: {readonly: {enabled: false}}}   # in the registry's config.yml, then restart it"
LOGIN = "registry: {username: NAME, password_file: /run/secrets/registry_password}   # NAME may pull, push and delete"
NO_CACHE = (
    "storage: {cache: {}}   # in the registry's config.yml: remove `blobdescriptor` from `cache`, then restart it"
)
_DISK = (
    "storage: {path: /var/lib/registry}   # its rootdirectory, mounted read-write here, and run as the registry's user"
)
BUCKET = "storage: {url: s3://BUCKET/PREFIX}   # the registry's bucket and rootdirectory"
UPGRADE = "image: registry:2.8.3   # or a release after 3.1.1; or storage on a disk, mounted here as storage.path"
_LATE_S, _WRONG_S = 5, 60


def check(case: Case) -> Iterator[Finding]:
    """Check that the registry is reachable, its certificate trusted, and the login accepted."""
    url = case.wiring.settings.registry.url
    try:
        probe = case.probe
    except ConfigurationError as unset:
        yield error("registry", str(unset), 'registry: {url: "http://registry:5000"}')
    except AccessDenied as denied:
        yield error("registry", str(denied), LOGIN)
    except RegistryTooOld as old:
        yield error("registry", str(old), f"pushprune tags --registry {url} --v1 REPO   # or a registry of version 2")
    except RegistryRefused as refused:
        yield error("registry", str(refused), _certificate_fix(str(refused), url) or _elsewhere(url))
    except RegistryUnavailable as away:
        yield error("registry", str(away), _elsewhere(url))
    else:
        yield fine("registry", f"{probe.url} is reachable and accepts the login")


def check_deletes(case: Case) -> Iterator[Finding]:
    """Check that deleting works: by a request to the registry, or with `delete.via: storage` in its storage.

    In the storage, the check proves that the mounted folder is the one that the registry serves, and is writable.
    """
    storage = case.wiring.registry.storage
    if case.wiring.settings.delete.via == "storage":
        yield _check_disk(case)
        return
    try:
        case.probe.try_delete(case.repository)
    except DeletesDisabled as disabled:
        instead = f"; or set delete.via: storage, as its storage is at {storage.name}" if storage else ""
        yield error("deletes", f"{disabled}{instead}", WRITABLE if "read-only" in str(disabled) else NO_DELETES)
    except AccessDenied as denied:
        yield error("deletes", f"the login may not delete: {denied}", LOGIN)
    else:
        yield fine("deletes", "the registry deletes manifests")


def _check_disk(case: Case) -> Finding:
    """Check the storage with the first repository that has a tag."""
    storage = case.wiring.registry.storage
    repository = next((name for name in storage.repositories() if storage.holds_tags(name)), "") if storage else ""
    if not repository:
        return warning("deletes", "not checked: the storage has no tag yet", "pushprune doctor   # after a push")
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            return not_now("deletes")
        try:
            case.wiring.registry.deletion.open(repository)
        except RegistryRefused as refused:
            return error("deletes", str(refused), _DISK if storage and storage.is_on_disk else BUCKET)
    return fine("deletes", "deletes are made in the storage, which is proved to be the one that the registry serves")


def check_catalog(case: Case) -> Iterator[Finding]:
    """Check that the registry lists its repositories, or that the settings name them."""
    named = case.wiring.registry.named
    try:
        next(case.probe.repositories(), None)
    except RegistryRefused as refused:
        sentence = f"the registry does not list its repositories: {refused}"
        if named:
            yield fine("catalog", f"{sentence}; reconcile.repositories names {len(named)}")
        else:
            yield error(
                "catalog", sentence, "reconcile: {repositories: [shop/api]}   # or a login that may read the catalog"
            )
    else:
        yield fine("catalog", "the registry lists its repositories")


def check_listing(case: Case) -> Iterator[Finding]:
    """Check that the registry lists every tag; one that hides some keeps its images."""
    # Raises if the registry does not answer at all: that is the finding then, not its listing.
    _ = case.probe
    if (storage := case.wiring.registry.storage) and storage.is_on_disk:
        yield skipped("listing", "the storage is a file system, and only object storage hides tags")
        return
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            yield not_now("listing")
            return
        client = case.wiring.registry.client
        try:
            with permit.writing():
                is_tested = deletes_single_tags(client, case.repository)
            is_whole = not is_tested or lists_every_tag(client, permit.writing, case.repository, storage)
        except RegistryRefused as refused:
            yield warning("listing", untried(refused), LOGIN)
            return
    if is_whole:
        yield fine("listing", f"the registry{' or its bucket' if storage else ''} lists every tag")
    else:
        yield error("listing", HIDES, UPGRADE)


def check_cache(case: Case) -> Iterator[Finding]:
    """Check for a blob-descriptor cache: by the registry's answers, else by the metrics of its debug server."""
    probe, debug = case.probe, case.wiring.registry.debug
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            yield not_now("cache")
            return
        try:
            caches = probe.caches_descriptors(case.repository)
        except RegistryRefused:
            caches = None
    if caches is None and debug:
        # A registry with a cache looks this blob up in the cache, and counts the lookup in its metrics.
        probe.has_blob(case.repository, UNKNOWN)
        caches = debug.cache_requests() > 0
    if caches is None:
        sentence = "unknown if the registry has a blob-descriptor cache"
        yield warning(
            "cache", sentence, 'registry: {debug_url: "http://registry:5001"}   # its http.debug.addr, with prometheus'
        )
    elif caches:
        sentence = "the registry has a blob-descriptor cache: it reports deleted blobs as existing, which breaks pushes"
        yield error("cache", sentence, NO_CACHE)
    else:
        yield fine("cache", "the registry has no blob-descriptor cache")


def check_clocks(case: Case) -> Iterator[Finding]:
    """Check that the registry, Redis and this machine have the same time.

    The registry sends its time in whole seconds, rounded down, and its answer may be slow. Only a certain difference
    is reported.
    """
    dated, before_us = case.probe.date(), case.wiring.store.connection.now_us()
    apart = {"the registry": _apart(dated.clock_s, dated.clock_s + 1, dated.before_s, dated.after_s)} if dated else {}
    apart["Redis"] = _apart(before_us / 1e6, before_us / 1e6, case.now_s())
    farthest = max(apart, key=lambda clock: abs(apart[clock]))
    spread = max(*apart.values(), 0.0) - min(*apart.values(), 0.0)
    if spread <= _LATE_S:
        yield fine("clocks", f"{', '.join(apart)} and this machine have the same time")
        return
    way = "ahead of" if apart[farthest] > 0 else "behind"
    sentence = f"the clock of {farthest} is {abs(apart[farthest]):.0f} s {way} the clock of this machine"
    fix = f"timedatectl set-ntp true   # on the machine of {farthest}, or on this one, whichever is wrong"
    yield error("clocks", sentence, fix) if spread > _WRONG_S else warning("clocks", sentence, fix)


def _apart(least_s: float, most_s: float, before_s: float, after_s: float | None = None) -> float:
    """Return by how many seconds a clock is at least ahead of ours; negative if behind, 0 if both may agree."""
    after_s = before_s if after_s is None else after_s
    if least_s > after_s:
        return least_s - after_s
    return min(0.0, most_s - before_s)


def _certificate_fix(sentence: str, url: str | None) -> str:
    if "registry.ca_file" in sentence:
        return "registry: {ca_file: /etc/pushprune/registry-ca.pem}"
    if "a certificate that is not trusted" in sentence:
        parts = urlsplit(url or "")
        shown = f"openssl s_client -connect {parts.hostname}:{parts.port or 443} </dev/null"
        return f"{shown} | openssl x509 -noout -dates -ext subjectAltName   # what it is valid for"
    return ""


def _elsewhere(url: str | None) -> str:
    return f"curl -i {url}/v2/   # from this machine; start the registry, or correct registry.url"
