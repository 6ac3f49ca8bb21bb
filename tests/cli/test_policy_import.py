"""`pushprune policy import`: from a file, from standard input, from flags as they were pasted; and every refusal."""

import io
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml

from service.cli.policy_import import import_policy
from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.importers import TOOLS

PUBLISHED = Path(__file__).parents[1] / "data" / "imports"
KEEP_3 = [{"name": "deckschrubber", "order": "created", "keep": {"last": 3}}]

Import = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Import:
    """run(*arguments) -> the policy on standard output."""

    def call(*arguments: str) -> str:
        import_policy.main(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return call


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Make this come from standard input."""

    def install(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return install


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.json")), ids=lambda file: file.stem)
def test_every_published_example_becomes_a_valid_policy(run: Import, file: Path) -> None:
    text = run("--from", file.stem.partition("-")[0], str(file))
    assert Policy.model_validate(yaml.safe_load(text)).rules
    first, second, *_ = text.splitlines()
    assert first == "# Try it first: pushprune prune --dry-run --policy FILE; pushprune policy simulate FILE"
    assert second.startswith("# Imported from ")


def test_every_tool_is_offered(run: Import) -> None:
    shown = run("--help")
    assert [tool for tool in TOOLS if tool not in shown] == []


def test_help_is_also_asked_for_by_its_short_name(run: Import) -> None:
    assert run("-h") == run("--from", "ecr", "-h") == run("--help")


def test_a_tool_may_be_written_as_its_makers_do(run: Import) -> None:
    assert run("--from", "ECR", str(PUBLISHED / "ecr-age.json")) == run(
        "--from", "ecr", str(PUBLISHED / "ecr-age.json")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--", "-latest", "3"),
        ("-latest", "3"),
        ("-latest=3",),
        ("--", "deckschrubber", "-latest", "3"),
        ("deckschrubber -latest 3",),
    ],
)
def test_flags_come_as_they_were_pasted(run: Import, arguments: tuple[str, ...]) -> None:
    assert yaml.safe_load(run("--from", "deckschrubber", *arguments))["rules"] == KEEP_3


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("deckschrubber", "-month 2 -day 2 -repo ^shop/ -ntag v -dry -insecure -debug"),
        ("registry-cli", "-l u:p -r http://x -d -n 5 -i a b --order-by-date --tags-like ^v --dry-run"),
        ("registry-cli", "registry.py --delete-by-hours 24 --keep-tags latest"),
        ("acr", "acr purge -r x --filter a:b --ago 30d --keep 3 --untagged --dry-run"),
    ],
)
def test_no_flag_of_a_tool_is_taken_for_one_of_ours(run: Import, tool: str, line: str) -> None:
    assert run("--from", tool, *shlex.split(line)) == run("--from", tool, "--", *shlex.split(line))


def test_a_file_may_hold_a_command_line(run: Import, tmp_path: Path) -> None:
    file = tmp_path / "prune.sh"
    file.write_text("deckschrubber \\\n  -latest 3\n")
    assert yaml.safe_load(run("--from", "deckschrubber", str(file)))["rules"] == KEEP_3


def test_standard_input_may_hold_either(run: Import, typed: Callable[[bytes], None]) -> None:
    typed(b"deckschrubber -latest 3")
    assert yaml.safe_load(run("--from", "deckschrubber", "-"))["rules"] == KEEP_3
    typed(b'{"days": 7, "status": "enabled"}')
    assert yaml.safe_load(run("--from", "acr", "-"))["rules"][0]["untagged"] == "7d"


def test_the_place_is_taken_over(run: Import) -> None:
    text = run("--from", "ecr", "--within", "shop/api", str(PUBLISHED / "ecr-age.json"))
    assert yaml.safe_load(text)["rules"][0]["repos"] == ["shop/api"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "this is empty; give it the policy as JSON"),
        (b"{,}", "line 1: this is not JSON"),
        (b"\xff", "this is not UTF-8 text"),
        (b'{"rules": 3}', "line 1: rules: must be a list"),
        (b" " * 2_000_000, "it is larger than 1024 KiB"),
        pytest.param(b"[" * 500_000, "nested more than 40 levels deep", marks=pytest.mark.slow),
        pytest.param(b'{"rules": [' + b"{}," * 9_000 + b"{}]}", "must", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_sentence(
    run: Import, tmp_path: Path, typed: Callable[[bytes], None], content: bytes, sentence: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    typed(content)
    for given, name in ((str(file), str(file)), ("-", "standard input")):
        with pytest.raises(ConfigurationError) as raised:
            run("--from", "ecr", given)
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)
    assert sentence in str(raised.value) or "missing" in str(raised.value)


def test_a_missing_file_is_named(run: Import) -> None:
    with pytest.raises(ConfigurationError, match="cannot read nowhere: No such file"):
        run("--from", "acr", "nowhere")


def test_unclosed_quotes_are_reported(run: Import) -> None:
    with pytest.raises(ConfigurationError, match="this is no command line: no closing quotation"):
        run("--from", "deckschrubber", "deckschrubber -tag 'x")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "ecr"), "name the one FILE that holds the policy of ecr"),
        (("--from", "ecr", "a", "b"), "name the one FILE"),
        (("--from", "guess", "a"), "'guess' is not one of"),
        (("a",), "Missing option '--from'"),
        (("--from", "zot", "--within", "x", "a"), "--within is for harbor, ecr, gcp, gitlab, quay"),
    ],
)
def test_wrong_usage_is_refused(run: Import, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(click.UsageError) as raised:
        run(*arguments)
    assert sentence in raised.value.format_message()
