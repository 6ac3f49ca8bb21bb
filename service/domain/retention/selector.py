"""What somebody named to be deleted: tags by name or glob, a manifest by its digest, or all tags but some."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.policy.patterns import compile_patterns, expression_of
from service.domain.retention.state import is_referrer_tag

_WILD = frozenset("*?[\\")


def is_glob(text: str) -> bool:
    """Whether it may mean several names: none of these characters is in the name of any repository or tag."""
    return not _WILD.isdisjoint(text)


def check_globs(*globs: str) -> None:
    """Raises ValueError with one sentence for what is no glob, and no name."""
    for glob in globs:
        expression_of(glob)
        if glob.startswith("!"):
            raise ValueError(f"{glob!r} begins with !, which means nothing here: name what is meant")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that was named. repository, tag: names or globs. digest: of a manifest, with all of its tags.

    but: all tags except what these patterns match; () where a tag or a digest is named.
    """

    repository: str
    tag: str = ""
    digest: str = ""
    but: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """As it was written."""
        return self.repository + (f":{self.tag}" if self.tag else f"@{self.digest}" if self.digest else "")

    def is_exact(self, tag: str) -> bool:
        """Whether this very tag was named, and no glob that matches it."""
        return self.tag == tag

    def repositories(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these repositories that are meant."""
        if not is_glob(self.repository):
            return tuple(name for name in names if name == self.repository)
        return tuple(filter(compile_patterns((self.repository,)), names))

    def tags(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these tags that are meant; what belongs to another image only where it is named itself."""
        if self.digest:
            return frozenset()
        if self.tag and not is_glob(self.tag):
            return frozenset({self.tag}.intersection(names))
        images = frozenset(name for name in names if not is_referrer_tag(name))
        if self.but:
            return images - self.spared(images)
        return frozenset(filter(compile_patterns((self.tag,)), images))

    def spared(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these tags that `but` takes out."""
        return frozenset(filter(compile_patterns(self.but), names)) if self.but else frozenset()
