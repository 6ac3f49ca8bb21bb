"""The output of a program: its last lines, and the number of lines before them."""

from service.domain.collection.output import Output


def printed(*lines: str, most_bytes: int = 100) -> str:
    output = Output(most_bytes)
    for line in lines:
        output.add(line)
    return output.text


def test_bytes_count_not_letters() -> None:
    assert printed(*["€" * 10] * 9).startswith("… 6 lines")


def test_one_line_that_never_ends_is_cut() -> None:
    text = printed("x" * 10_000, most_bytes=64 * 1024)
    assert (len(text), text[-1]) == (2002, "…")
