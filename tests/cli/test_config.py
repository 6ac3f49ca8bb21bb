"""`pushprune config`: one sentence for a wrong file, no secret in what is shown, and a schema that editors can use."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema_rs import Draft202012Validator

from service.cli.main import pushprune
from service.settings import Settings
from service.settings.schema import schema
from tests.support import manual

VALIDATOR = Draft202012Validator(schema())


def configurations() -> list[dict[str, Any]]:
    """The example file, and every configuration of the manual."""
    example = yaml.safe_load((manual.ROOT / "config/pushprune.yaml").read_text())
    return [example, *(values for _, values in manual.yaml_blocks() if values.keys() <= Settings.model_fields.keys())]


def test_every_configuration_of_the_manual_follows_the_schema() -> None:
    assert len(configurations()) > 5
    for values in configurations():
        assert [error.message for error in VALIDATOR.iter_errors(values)] == []


@pytest.mark.parametrize(
    "values", [{"registri": {}}, {"gc": {"gate": "open"}}, {"redis": {"replicas": -1}}, {"policy": {"rules": [{}]}}]
)
def test_the_schema_refuses_what_the_start_refuses(values: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(values)


def test_the_schema_is_printed() -> None:
    assert json.loads(CliRunner().invoke(pushprune, ["config", "schema"]).output) == schema()


def test_a_valid_file_is_called_valid(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("redis: {url: redis://h/0}\n")
    done = CliRunner().invoke(pushprune, ["config", "check", str(tmp_path / "p.yaml")])
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'p.yaml'}: valid\n")


def test_every_error_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("registry: {url: 5000}\ngc: {grace: soon}\nlog: {levle: info}\n")
    done = CliRunner().invoke(pushprune, ["config", "check", str(tmp_path / "p.yaml")])
    assert done.exit_code == 2
    assert [line.partition(", line ")[2].partition(" ")[0] for line in done.output.splitlines()] == ["1:", "2:", "3:"]


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [(None, "keep.yaml: No such file"), ("rules: [{kep: {last: 1}}]", "keep.yaml, line 1: rules[0].kep is unknown")],
)
def test_a_file_whose_policy_cannot_be_read_is_not_valid(tmp_path: Path, policy: str | None, sentence: str) -> None:
    (tmp_path / "p.yaml").write_text("policy: keep.yaml\n")
    if policy:
        (tmp_path / "keep.yaml").write_text(policy)
    done = CliRunner().invoke(pushprune, ["config", "check", str(tmp_path / "p.yaml")])
    assert (done.exit_code, sentence in done.output) == (2, True)


def test_errors_of_named_files_are_reported_beside_all_others(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "tokens: {read_file: absent, notify: a, notify_file: b}\n"
        "registry: {url: 5000}\n"
        "listen: 0.0.0.0:8080\n"
        "policy: keep.yaml\n"
        "webhooks:\n"
        "- {name: chat, url_file: chat-url}\n"
        "- {name: audit}\n"
    )
    (tmp_path / "keep.yaml").write_text("grace: soon\nrules: [{kep: {last: 1}}]\n")
    environment = {"PUSHPRUNE_WEB__ADMINS": "[alice"}
    done = CliRunner().invoke(pushprune, ["config", "check", str(tmp_path / "p.yaml")], env=environment)
    parts = (
        "line 1: tokens.notify and tokens.notify_file are both set",
        "line 1: tokens.read_file: cannot read",
        "line 2: registry.url must be text",
        "PUSHPRUNE_WEB__ADMINS begins like JSON, but is not",
        "line 7: webhooks[1]: it needs url or url_file",
        "keep.yaml, line 1: grace: 'soon' is no duration",
        "keep.yaml, line 2: rules[0].kep is unknown",
        "webhook chat: url_file: cannot read",
    )
    assert done.exit_code == 2
    for part, line in zip(parts, done.output.splitlines(), strict=True):
        assert part in line


def test_names_that_contradict_each_other_are_reported_beside_all_others(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("policy: keep.yaml\nregistry: here\nlog: {levle: info}\n")
    (tmp_path / "keep.yaml").write_text("rules: [{keep: always}]\n")
    environment = {
        "pushprune_log__level": "debug",
        "PUSHPRUNE_GC": "off",
        "PUSHPRUNE_GC__GATE": "none",
        "PUSHPRUNE_POLICY__DRY_RUN": "true",
        "PUSHPRUNE_REGISTRY__URL": "http://registry:5000",
    }
    done = CliRunner().invoke(pushprune, ["config", "check", str(tmp_path / "p.yaml")], env=environment)
    assert done.exit_code == 2
    assert sorted(line.rpartition("p.yaml, ")[2].removeprefix("pushprune: ") for line in done.output.splitlines()) == [
        "PUSHPRUNE_GC and PUSHPRUNE_GC__GATE exclude each other",
        "line 1: policy is a file of its own: policy.dry_run cannot be set from elsewhere, change it there",
        "line 2: registry must hold `key: value` pairs",
        "line 3: log.levle is unknown; did you mean log.level?",
        "pushprune_log__level is unknown; did you mean PUSHPRUNE_LOG__LEVEL?",
    ]


def test_settings_are_shown_from_all_sources_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("redis: {url: 'redis://u:geheim@h/0'}\ntokens: {admin: geheim-geheim-geheim}\n")
    environment = {"PUSHPRUNE_CONFIG": str(tmp_path / "p.yaml"), "PUSHPRUNE_LOG__LEVEL": "debug"}
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        done = CliRunner().invoke(pushprune, arguments, env=environment)
        assert done.exit_code == 0
        assert "geheim" not in done.output
        shown = yaml.safe_load(done.output)
        assert shown["log"]["level"] == "debug"
        assert shown["redis"]["url"].endswith("@h/0")
