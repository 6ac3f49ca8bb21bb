"""Words that users do not meet any more; CONTRIBUTING.md has the words of Docker, Harbor or GitLab for them."""

import html
import re

_WORDS = (
    "by hand", r"put(?:s|ting)? (?:\S+ )?back", "taken off", "(?:stood|stands) (?:at|there)", "goes the way",
    "(?:would|could|may) go", r"let \w+ go", "nothing goes", "what goes", "sign of life", "(?:heard|told) of",
    "turns it round", "may only look", "mend(?:s|ed)?", "sweeps?", "swept", "sweeping", "lately", "what it printed",
    "it ended", "nobody", "somebody", "whoever", "all the same", "not understood", "each once", "take over",
    "speak to it", "lets us in", "time alone", "no tag like",
)  # fmt: skip
_OLD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")


def old_words(text: str) -> list[str]:
    """The old words in a text of ours, or of a page, each with the words around it."""
    plain = re.sub(r"\s+", " ", html.unescape(_TAG.sub("", text)))
    return [plain[max(0, match.start() - 40) : match.end() + 30] for match in _OLD.finditer(plain)]
