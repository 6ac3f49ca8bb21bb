"""The images that a user names: tags by name or glob, a digest, or all tags except some."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.policy.patterns import LONGEST_PATTERN, Matcher, compile_patterns, expression_of
from service.domain.retention.state import is_referrer_tag

_WILD = frozenset("*?[\\")


def is_glob(text: str) -> bool:
    """True if the text is a glob: it has a character that no name of a repository or a tag has."""
    return not _WILD.isdisjoint(text)


def check_globs(*globs: str) -> None:
    """Check texts that are names or globs.

    Raises:
        ValueError: a text is neither; the message is one sentence.
    """
    for glob in globs:
        expression_of(glob)
        if glob.startswith("!"):
            raise ValueError(f"{glob!r} begins with !, which means nothing here: name what is meant")


@dataclass(frozen=True, slots=True)
class TagSelector:
    """The images that one argument of a command or a request names.

    Attributes:
        repository: a name or a glob.
        tag: a name or a glob; "" if a digest or all tags are named.
        digest: a manifest to delete with all of its tags; "" if tags are named.
        exclude: all tags except those that these patterns match are named; () if a tag or a digest is named.
        seen: the digest at which the user saw the tag. If the tag points at another one by now, it must be kept.
    """

    repository: str
    tag: str = ""
    digest: str = ""
    exclude: tuple[str, ...] = ()
    seen: str = ""

    @property
    def as_written(self) -> str:
        """The argument as the user wrote it."""
        return self.repository + (f":{self.tag}" if self.tag else f"@{self.digest}" if self.digest else "")

    def is_exact(self, tag: str) -> bool:
        """True if the user named exactly this tag, not a glob."""
        return self.tag == tag

    def repositories(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the named ones of these repositories."""
        if not is_glob(self.repository):
            return tuple(name for name in names if name == self.repository)
        return tuple(filter(compile_patterns((self.repository,)), names))

    def tags(self, names: Iterable[str]) -> frozenset[str]:
        """Return the named ones of these tags. Tags of referrers are included only if they are named exactly."""
        if self.digest:
            return frozenset()
        if self.tag and not is_glob(self.tag):
            return frozenset({self.tag}.intersection(names))
        images = frozenset(name for name in names if not is_referrer_tag(name))
        if self.exclude:
            return images - self.excluded(images)
        return frozenset(filter(compile_patterns((self.tag,)), images))

    def excluded(self, names: Iterable[str]) -> frozenset[str]:
        """Return the tags that `exclude` names."""
        return frozenset(filter(compile_patterns(self.exclude), names)) if self.exclude else frozenset()


def every_name(_: str) -> bool:
    """Match all names. A listing of all repositories is known by this matcher, and read from an index."""
    return True


def search_matcher(text: str) -> Matcher:
    """Return a matcher for the names that the text searches for; "" matches all names.

    Raises:
        ValueError: the text is not a valid glob; the message is one sentence.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"it is longer than {LONGEST_PATTERN} characters")
    if not text:
        return every_name
    if not is_glob(text):
        return lambda name: text in name
    if text.startswith(("!", "re:")):
        raise ValueError(f"{text!r} is no glob: name what is meant, with * and ? for what may be anything")
    expression_of(text)
    return compile_patterns((text,))
