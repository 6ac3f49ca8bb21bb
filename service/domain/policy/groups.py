"""Groups: a rule's limits count separately for each text that its `group` expression captures of the tags."""

from collections.abc import Iterator

from service.domain.policy.patterns import captures, compile_expression

_MOST_CAPTURES = 10


class Grouping:
    """Assign tags to groups. Without an expression every tag is in one group, which has no name."""

    def __init__(self, expression: str | None) -> None:
        self._expression = expression

    def of(self, tag: str) -> str | None:
        """Return the group of a tag, or None if the rule does not select the tag.

        A tag is not selected if the expression does not match it or captures nothing.
        """
        if self._expression is None:
            return ""
        captured = captures(self._expression, tag)
        took_part = [capture for capture in captured if capture is not None]
        # In pr-(\d+)|issue-(\d+), the alternative that does not match leaves its place empty. So pr-7 and issue-7 are
        # different groups.
        return " ".join(capture or "" for capture in captured) if took_part and all(took_part) else None


def checked_group(expression: str) -> str:
    """Return the expression without the prefix re: that patterns have.

    Raises:
        ValueError: RE2 refuses the expression, or a capture can be empty; the message is one sentence.
    """
    expression = expression.removeprefix("re:")
    compiled = compile_expression(expression, expression)
    if compiled.groups == 0:
        raise ValueError(f"{expression!r} captures nothing; put ( ) around the part that names the group")
    if compiled.groups > _MOST_CAPTURES:
        raise ValueError(f"{expression!r} captures {compiled.groups} parts; {_MOST_CAPTURES} are the most")
    for inside in _captures(expression):
        if _can_be_empty(inside):
            raise ValueError(f"({inside}) in {expression!r} can be empty; write + for *: a group needs a name")
    return expression


def _can_be_empty(inside: str) -> bool:
    try:
        return compile_expression(rf"\A(?:{inside})\z", inside).search("") is not None
    except ValueError:
        return False


def _captures(expression: str) -> Iterator[str]:
    opened: list[int | None] = []
    at, in_class = 0, False
    while at < len(expression):
        letter = expression[at]
        if letter == "\\":
            at += 1
        elif in_class and expression.startswith("[:", at):
            at = expression.find(":]", at) + 1
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
            at += expression[at + 1 : at + 2] == "^"
            at += expression[at + 1 : at + 2] == "]"
        elif letter == "(":
            opened.append(_start_of_capture(expression, at))
        elif letter == ")" and opened:
            start = opened.pop()
            if start is not None:
                yield expression[start:at]
        at += 1


def _start_of_capture(expression: str, at: int) -> int | None:
    """Return the start of the text inside a capturing ( at `at`, or None if it does not capture.

    ( and (?P<name> and (?<name> capture; (?: and (?i: do not.
    """
    if not expression.startswith("(?", at):
        return at + 1
    named = expression.startswith(("(?P<", "(?<"), at)
    return expression.index(">", at) + 1 if named else None
