"""deckschrubber's command line (github.com/fraunhoferfokus/deckschrubber, main.go 0.6 to 0.8; its forks' names too)."""

from collections.abc import Iterator, Sequence

from service.importers.flags import Flags, naming, parse_flags, without_program
from service.importers.pattern import named, negated, searched
from service.importers.period import DAY_S, MONTH_S, YEAR_S, bounded
from service.importers.translation import NotImportable, Translation, imported_rule, keep_of, translation

_POLICY = ("day", "month", "year", "latest", "repo", "repo_regexp", "repos", "tag", "tag_regexp", "ntag")
_ELSEWHERE = ("registry", "user", "username", "password", "page-size", "frequency")
_SWITCHES = ("dry", "debug", "v", "insecure", "paginate")


def read_command(words: Sequence[str], _place: str | None) -> Translation:
    """Translate the flags into one rule.

    Raises:
        NotImportable: a flag is not understood; the message names it.
    """
    rest = without_program(words, ("deckschrubber",))
    if not rest:
        raise NotImportable("no flag was given; give deckschrubber's flags, such as -month 2 -latest 10")
    flags = parse_flags(rest, (*_POLICY, *_ELSEWHERE), _SWITCHES)
    age_s = flags.count("day") * DAY_S + flags.count("month") * MONTH_S + flags.count("year") * YEAR_S
    rule = imported_rule(
        "deckschrubber",
        repos=_repositories(flags),
        tags=_tags(flags),
        order="created",
        keep=keep_of(flags.count("latest", 1), pushed_within=bounded(age_s, "the age")),
        notes=_differences(flags, age_s),
    )
    return translation("deckschrubber", [rule], _elsewhere(flags), dry_run=flags.is_on("dry"))


def _repositories(flags: Flags) -> tuple[str, ...]:
    names = [name for name in flags.last("repos").split(",") if name]
    if names and not flags.last("repos").isdigit():
        return tuple(named(name) for name in names)
    flag = "repo_regexp" if "repo_regexp" in flags else "repo"
    return (_regex(flags, flag),)


def _tags(flags: Flags) -> tuple[str, ...]:
    flag = "tag_regexp" if "tag_regexp" in flags else "tag"
    without = (_regex(flags, "ntag"),) if flags.last("ntag") else ()
    return (_regex(flags, flag), *negated(without))


def _regex(flags: Flags, flag: str) -> str:
    with naming(f"-{flag}"):
        return searched(flags.last(flag))


def _differences(flags: Flags, age_s: int) -> Iterator[str]:
    yield "differs: for an image without a creation date, the time of its push counts."
    if age_s:
        yield "differs: deckschrubber counts the age from the image's creation, pushprune from its last push."
    if "month" in flags or "year" in flags:
        yield "differs: a month counts 31 days here and a year 366, so that nothing is deleted sooner."


def _elsewhere(flags: Flags) -> Iterator[str]:
    if not flags.last("repos") or flags.last("repos").isdigit():
        number = flags.last("repos") or "5, its default"
        yield f"no equivalent: -repos ({number}) handled only that many repositories; this rule is for all of them."
    given = [f"-{name}" for name in (*_ELSEWHERE, *_SWITCHES) if name in flags and name != "dry"]
    if given:
        yield f"no equivalent: {', '.join(given)}: no part of a policy; see `registry:` in the configuration."
