"""Print what plans would delete, and why."""

from collections import Counter
from collections.abc import Sequence

import click

from service.cli.output import line, short_digest, show_document, show_names, table, when
from service.domain.policy.model import Policy
from service.domain.policy.units import spell_count, spell_size
from service.domain.retention.conditions import UnknownAge
from service.domain.retention.freed import Freed, freed_together
from service.domain.retention.manual import DRY
from service.domain.retention.plan import Verdict
from service.domain.retention.preview import Preview, totals


def show_previews(previews: Sequence[Preview], policy: Policy, as_document: bool) -> None:
    """Print what these plans delete and why, with its size."""
    if as_document:
        # Building the models of all answers takes half a second, which a table does not need.
        from service.answers.verdicts import Previews

        show_document(Previews.of(previews, dry_run=policy.dry_run))
        return
    deletions = [(preview.repository, verdict) for preview in previews for verdict in preview.deletions]
    if show_names(verdict.tag.called(repository) for repository, verdict in deletions):
        return
    uncertain = [(preview.repository, verdict) for preview in previews for verdict in preview.of_unknown_age]
    if uncertain:
        rows = ((name, v.tag.name, short_digest(v.tag.digest), v.reason) for name, v in uncertain)
        table(("repository", "tag", "digest", "kept because its age is unknown"), rows)
        line(unknown_ages(previews))
        click.echo()
    if deletions:
        _show_deletions(previews, deletions)
    else:
        line(f"nothing would be deleted{_next_deletion(previews)}")
    if policy.dry_run:
        line(DRY)


def _next_deletion(previews: Sequence[Preview]) -> str:
    """Return when the next deletion by age is possible, as the end of a sentence; "" if there is none."""
    times_us = [preview.next_us for preview in previews if preview.next_us]
    return f" now; the next deletion by age is possible at {when(min(times_us))}" if times_us else ""


def unknown_ages(previews: Sequence[Preview]) -> str:
    """Return the sentence on images that are kept because their age is not known; "" if there are none."""
    images = {(preview.repository, v.tag.digest): v.unknown_age for preview in previews for v in preview.of_unknown_age}
    counts = Counter(images.values())
    if not counts:
        return ""
    undated, tied = counts[UnknownAge.UNDATED], counts[UnknownAge.TIED]
    kinds = [f"{undated} without a usable creation date"] if undated else []
    kinds += [f"{tied} as old as the last image that the rule keeps"] if tied else []
    return (
        f"kept because of unknown age: {spell_count(len(images), 'image')} ({', '.join(kinds)}); "
        "--order name and --order semver need no age"
    )


def _show_deletions(previews: Sequence[Preview], deletions: Sequence[tuple[str, Verdict]]) -> None:
    rows = ((name, v.tag.name or "(no tag)", short_digest(v.tag.digest), v.reason) for name, v in deletions)
    table(("repository", "tag", "digest", "reason"), rows)
    click.echo()
    rules = ((rule.name or "(no rule)", str(rule.tags), str(rule.digests), rule.size) for rule in totals(previews))
    table(("rule", "tags", "images", "size"), rules)
    freed = _freed(freed_together(preview.freed for preview in previews if preview.deletions))
    click.echo(f"size: a layer that several images share counts for each of them; {freed}")
    for preview in previews:
        if preview.hold:
            line(f"{preview.repository}: the plan would wait for approval: {preview.hold}")
        if preview.unclear:
            unclear = spell_count(len(preview.unclear), "manifest")
            line(f"{preview.repository}: {unclear} must be read first; the plan may change")


def _freed(freed: Freed) -> str:
    if freed.is_unknown:
        return "a collection frees an unknown part of it: the layers of these images are not known"
    most = "at most " if freed.at_most else ""
    besides = f", besides {spell_count(freed.unknown, 'image')} of unknown layers" if freed.unknown else ""
    return (
        f"a collection then frees {most}{spell_size(freed.size_bytes)}{besides}, "
        "unless other repositories use these layers"
    )
