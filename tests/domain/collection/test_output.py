"""The output of a program as a gzip file: the beginning and the end of a long one, and its errors."""

from itertools import count

from service.domain.collection.output import Output, errors_in, lines_of


def printed(*lines: str, most_bytes: int = 100, last_bytes: int = 100) -> list[str]:
    output = Output(most_bytes, last_bytes)
    for line in lines:
        output.add(line)
    return lines_of(output.finish())


def test_a_whole_log_is_kept() -> None:
    lines = [f"blob eligible for deletion: sha256:{number:064x}" for number in range(5000)]
    assert printed(*lines, most_bytes=2**20) == lines


def test_nothing_printed_is_no_file() -> None:
    assert Output().finish() == b""


def test_the_beginning_the_end_and_the_errors_of_a_long_log_are_kept() -> None:
    noise = (f"{number * 7919**9:x}" for number in count(1))
    lines = ["first", *(next(noise) for _ in range(20_000)), "failed to delete: permission denied"]
    lines += [*(next(noise) for _ in range(100)), "€" * 10, "the last"]
    kept = printed(*lines)
    assert (kept[0], kept[-2:]) == ("first", ["€" * 10, "the last"])
    (note,) = [line for line in kept if "left out" in line]
    assert "those that report an error follow" in note
    assert kept[kept.index(note) + 1] == "failed to delete: permission denied"
    assert len(kept) + int(note.split()[1]) == len(lines) + 2


def test_a_line_that_never_ends_is_cut() -> None:
    (line,) = printed("x" * 10_000)
    assert (len(line), line[-1]) == (2002, "…")


def test_errors_are_the_lines_that_report_one_each_once() -> None:
    lines = ["exit code 0", "level=error msg=x", "level=error msg=x", "marking blob sha256:e", "exit code 3"]
    assert errors_in(lines) == ("level=error msg=x", "exit code 3")
