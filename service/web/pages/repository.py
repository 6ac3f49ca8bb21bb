"""The page of a repository: its tags with their verdicts, its restorable images, and testing another policy."""

from contextlib import suppress
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from service.collect.garbage import restorable_until
from service.domain.errors import ConfigurationError, StoreUnavailable
from service.domain.oci.names import is_digest, is_tag
from service.domain.retention.selector import TagSelector
from service.prune.manual import request_deletions, resolve_requests
from service.reports.deleted_tags import deleted_tags, is_tag_deletion
from service.reports.listings import Listings
from service.reports.tag_listing import TagOrder, TagStatus
from service.web.pages import rendering
from service.web.pages.policy import policy_file
from service.wiring import Wiring

_ORDERS: dict[TagOrder, str] = {
    "-pushed": "latest push first",
    "pushed": "oldest push first",
    "name": "by name, A to Z",
    "-name": "by name, Z to A",
    "-pulled": "latest pull first",
    "pulled": "oldest pull first",
    "-size": "largest first",
    "size": "smallest first",
    "expires": "next deletion first",
    "-expires": "next deletion last",
    "status": "to be deleted first",
    "-status": "kept first",
}
_STATUSES: dict[TagStatus, str] = {
    "keep": "kept",
    "delete": "to be deleted",
    "held": "needs approval",
    "signed": "signed",
}
_KEYS = ("search", "order", "status", "at", "after", "platforms", "select")
_PAGE = 100
_MOST_DELETED = 200


def add(pages: Blueprint, wiring: Wiring) -> None:
    settings, listings = wiring.settings, Listings(wiring.inventory, wiring.policies)

    @pages.get("/repository/<path:repository>")
    def repository(repository: str) -> Response:
        # Each panel would repeat that the repository is unknown. Without Redis, the panels say so.
        with suppress(StoreUnavailable):
            wiring.inventory.known(repository)
        return rendering.page(
            "repository.html",
            repository=repository,
            asked=rendering.query(*_KEYS),
            orders=_ORDERS,
            written=policy_file(wiring.policies.current()),
        )

    @pages.get("/panels/repository/head/<path:repository>")
    def repository_head(repository: str) -> Response:
        listing = listings.of(wiring.inventory.known(repository))
        return rendering.panel(
            "repository_head.html",
            repository,
            row=wiring.inventory.repositories.of(repository),
            repository=repository,
            totals=listing.totals,
            waits=next(iter(listing.waits.values()), None),
            restorable=len(wiring.restore.deleted(repository)),
            statuses=_STATUSES,
            # The panel asks with the filters of its page, to mark the filter in force.
            asked=rendering.query("search", "order", "status"),
            is_dry=wiring.verdicts.is_dry(),
        )

    @pages.get("/panels/repository/tags/<path:repository>")
    def repository_tags(repository: str) -> Response:
        wiring.inventory.known(repository)
        order: TagOrder = rendering.choice("order", _ORDERS, "-pushed")
        status = rendering.choice("status", _STATUSES, None)
        matches = rendering.matcher("search")
        listing = listings.of(repository)
        after = rendering.place(is_text=order.endswith("name"))
        chosen = listing.page(matches, order, after, _PAGE, status=status, folded=True)
        asked = rendering.query(*_KEYS)
        digests = [row.verdict.tag.digest for row in chosen.rows]
        return rendering.panel(
            "repository_tags.html",
            repository,
            repository=repository,
            rows=chosen,
            total=len(listing.images),
            holders=listing.live.holders,
            platforms=wiring.platforms.of(repository, digests) if "platforms" in asked else None,
            order=order,
            listing=rendering.listing("pages.repository", "pages.repository_tags"),
            asked=rendering.without(asked, "at", "after", "select"),
            place={key: asked[key] for key in ("at", "after") if key in asked},
            is_selected="select" in asked,
            is_dry=wiring.verdicts.is_dry(),
            host=host(settings.registry.url),
        )

    @pages.get("/panels/repository/trash/<path:repository>")
    def repository_trash(repository: str) -> Response:
        matches = rendering.matcher("search")
        restorable = wiring.restore.deleted(wiring.inventory.known(repository))
        # Deletions that cannot be restored are only in the history.
        entries = wiring.inventory.entries(repository, is_tag_deletion, limit=settings.history.repository_entries)
        live = frozenset(wiring.inventory.tag_names(repository))
        known = deleted_tags(restorable, entries.entries, live)
        deleted = [deletion for deletion in known if matches(deletion.tag)]
        images = [(repository, deletion.digest, deletion.at_us) for deletion in deleted[:_MOST_DELETED]]
        ends_us = restorable_until(wiring.store, settings.gc, settings.history.trash, images)
        return rendering.panel(
            "repository_trash.html",
            f"Deleted from {repository}",
            repository=repository,
            deleted=list(zip(deleted[:_MOST_DELETED], ends_us, strict=True)),
            count=len(deleted),
            is_online=settings.gc.collector == "online",
        )

    @pages.post("/restore")
    def restore() -> Response:
        """Restore a deleted image by its tag, or by its digest if the image has no tag."""
        form = request.form
        # `over` is the digest that the user saw under the tag. Only this digest may be replaced.
        repository = wiring.inventory.known(form.get("repository", ""))
        restored = wiring.restore.restore(
            repository,
            tag=_a_tag(form.get("tag", "")),
            digest=_a_digest(form.get("digest", "")),
            as_tag=_a_tag(form.get("as_tag", "").strip()),
            replaces=_a_digest(form.get("over", "")),
            by=rendering.current_visitor().name,
        )
        names = ", ".join((*restored.tags, *restored.referrers)) or restored.digest
        lost = (
            f" {restored.replaced} no longer has the tag; no policy deletes it for 24 hours."
            if restored.replaced
            else ""
        )
        return rendering.redirect_back(f"{repository}: restored {names}.{lost}")

    @pages.post("/delete")
    def delete() -> Response:
        """Request the deletion of a tag. A worker deletes the tag, and it can be restored."""
        repository = wiring.inventory.known(request.form.get("repository", ""))
        tag = _a_tag(request.form.get("tag", ""))
        if tag is None:
            raise ConfigurationError("name the tag to delete")
        force = request.form.get("force") == "yes"
        asked = request_deletions(
            wiring.store,
            wiring.dispatch,
            wiring.verdicts,
            resolve_requests(
                wiring.store, wiring.registry, wiring.policies, [TagSelector(repository, tag)], force=force
            ),
            rendering.current_visitor().name,
            force=force,
        )
        if not any(deletion.targets for deletion in asked):
            return rendering.redirect_back(
                f"{repository}:{tag} was pushed just now, so it is not deleted.", failed=True
            )
        return rendering.redirect_back(f"{repository}:{tag} is queued for deletion.")


def host(url: str | None) -> str:
    """Return the registry's host and port as clients write them, or "" if no registry is configured."""
    return urlsplit(url).netloc if url else ""


def _a_tag(text: str) -> str | None:
    if text and not is_tag(text):
        raise ConfigurationError(f"{text[:80]!r} is not a valid tag; write a tag such as v1")
    return text or None


def _a_digest(text: str) -> str | None:
    if text and not is_digest(text):
        raise ConfigurationError(f"{text[:80]!r} is not a valid digest; write a complete digest such as sha256:ab12…")
    return text or None
