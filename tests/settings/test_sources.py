"""Sources of settings, and their precedence."""

import re
from pathlib import Path

import pytest

from service.documents.refusal import _names
from service.domain.collection.window import Hours
from service.domain.policy.model import Keep, Policy
from service.settings import Settings, load_settings
from tests.settings.conftest import Load, Write

EXAMPLE = Path(__file__).parents[2] / "config" / "pushprune.yaml"


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings(environ={})
    assert settings.listen == "127.0.0.1:8080"
    assert settings.redis.prefix == "pushprune:"
    assert settings.gc.timeout == 3600
    assert settings.history.trash == 30 * 86_400
    assert settings.policy is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "registry:\ngc:\n"])
def test_an_empty_file_and_empty_sections_leave_the_defaults(load: Load, text: str) -> None:
    assert load(text).model_dump() == Settings().model_dump()


def test_overrides_win_over_the_environment_over_the_file_over_the_defaults(load: Load) -> None:
    text = "delete: {batch_size: 2, parallel: 2}\nredis: {prefix: file}\nlisten: 127.0.0.1:2\n"
    environ = {"PUSHPRUNE_DELETE__PARALLEL": "3", "PUSHPRUNE_REDIS__PREFIX": "environment"}
    settings = load(text, environ, redis={"prefix": "override"})
    assert settings.redis.prefix == "override"
    assert settings.delete.parallel == 3
    assert (settings.delete.batch_size, settings.listen) == (2, "127.0.0.1:2")
    assert settings.registry.timeout_s == 10


def test_an_override_of_none_says_nothing(load: Load) -> None:
    settings = load("listen: 127.0.0.1:2\nredis: {prefix: file}", listen=None, redis={"prefix": None})
    assert (settings.listen, settings.redis.prefix) == ("127.0.0.1:2", "file")


def test_the_file_is_found_through_the_environment(write: Write) -> None:
    file = write("redis: {prefix: found}")
    settings = load_settings(environ={"PUSHPRUNE_CONFIG": str(file)})
    assert settings.redis.prefix == "found"
    assert settings.config_path == file


def test_the_argument_wins_over_the_file_that_the_environment_names(write: Write) -> None:
    file, other = write("redis: {prefix: argument}"), write("redis: {prefix: environment}", "other.yaml")
    assert load_settings(file, {"PUSHPRUNE_CONFIG": str(other)}).redis.prefix == "argument"


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPRUNE_REDIS__PREFIX", "process")
    assert load_settings().redis.prefix == "process"


def test_the_environment_reaches_every_depth_and_every_type(load: Load) -> None:
    environ = {
        "PUSHPRUNE_REGISTRY__URL": "http://registry:5000/",
        "PUSHPRUNE_REGISTRY__TIMEOUT_S": "2.5",
        "PUSHPRUNE_GC__COMMAND": "docker exec registry 'registry' garbage-collect /config.yml",
        "PUSHPRUNE_GC__MAX_WAIT": "90m",
        "PUSHPRUNE_GC__AFTER_DELETES": "null",
        "PUSHPRUNE_POLICY__DRY_RUN": "true",
        "PUSHPRUNE_POLICY__PROTECT": '["latest", "stable"]',
    }
    settings = load("policy: {rules: [{keep: {last: 3}}]}", environ)
    assert settings.registry.url == "http://registry:5000"
    assert settings.registry.timeout_s == 2.5
    assert settings.gc.command == ["docker", "exec", "registry", "registry", "garbage-collect", "/config.yml"]
    assert (settings.gc.max_wait, settings.gc.after_deletes) == (5400, None)
    assert isinstance(settings.policy, Policy)
    assert (settings.policy.dry_run, settings.policy.protect) == (True, ("latest", "stable"))
    assert len(settings.policy.rules) == 1


def test_a_command_and_a_policy_may_be_json_in_the_environment(load: Load) -> None:
    settings = load(
        "", {"PUSHPRUNE_GC__COMMAND": '["a b", "c"]', "PUSHPRUNE_POLICY": '{"rules": [{"keep": "always"}]}'}
    )
    assert settings.gc.command == ["a b", "c"]
    assert isinstance(settings.policy, Policy)


def test_an_empty_variable_counts_as_unset(load: Load) -> None:
    assert load("redis: {prefix: file}", {"PUSHPRUNE_REDIS__PREFIX": ""}).redis.prefix == "file"


def test_a_secret_that_looks_like_json_or_null_stays_what_it_is(load: Load) -> None:
    tokens = load("", {"PUSHPRUNE_TOKENS__NOTIFY": "null", "PUSHPRUNE_TOKENS__READ": "[1]"}).tokens
    assert tokens.notify is not None
    assert tokens.notify.get_secret_value() == "null"
    assert tokens.read is not None
    assert tokens.read.get_secret_value() == "[1]"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PUSHPRUNE_CONFIG", ""),
        ("PUSHPRUNE_REGISTRY_BIN", "/usr/bin/registry"),
        ("PUSHPRUNE_LOG", "debug"),
        ("PUSHPRUNE_SERVICE_HOST", "10.0.0.1"),
        ("PUSHPRUNE_SERVICE_PORT", "8080"),
        ("PUSHPRUNE_WEB_SERVICE_PORT_HTTP", "8080"),
        ("PUSHPRUNE_PORT", "tcp://10.0.0.1:8080"),
        ("PUSHPRUNE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PUSHPRUNE_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_variables_that_are_no_settings_are_left_alone(load: Load, variable: str, value: str) -> None:
    """The last ones are what Kubernetes gives every pod beside a Service called pushprune."""
    assert load("", {variable: value}).model_dump() == Settings().model_dump()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_file_is_read_without_its_line_end(load: Load, write: Write, ending: str) -> None:
    write(f"s3cret{ending}", "secrets/token")
    for settings in (
        load("tokens: {admin_file: secrets/token}"),
        load("", {"PUSHPRUNE_TOKENS__ADMIN_FILE": str(write(f"s3cret{ending}", "secrets/token"))}),
    ):
        assert settings.tokens.admin is not None
        assert settings.tokens.admin.get_secret_value() == "s3cret"


def test_every_secret_may_stand_in_a_file(load: Load, write: Write) -> None:
    for name in ("url", "password", "notify", "read", "admin"):
        write(f"redis://{name}\n" if name == "url" else f"{name}\n", name)
    settings = load("""
        redis: {url_file: url}
        registry: {username: me, password_file: password}
        tokens: {notify_file: notify, read_file: read, admin_file: admin}
        """)
    assert settings.redis.url == "redis://url"
    secrets = (settings.registry.password, settings.tokens.notify, settings.tokens.read, settings.tokens.admin)
    assert [secret and secret.get_secret_value() for secret in secrets] == ["password", "notify", "read", "admin"]


def test_a_stronger_secret_wins_over_a_weaker_file_and_the_other_way_round(load: Load, write: Write) -> None:
    weak, strong = write("weak", "weak"), write("strong", "strong")
    by_value = load(f"tokens: {{read_file: {weak}}}", {"PUSHPRUNE_TOKENS__READ": "strong"}).tokens.read
    by_file = load("tokens: {read: weak}", {"PUSHPRUNE_TOKENS__READ_FILE": str(strong)}).tokens.read
    assert by_value is not None
    assert by_file is not None
    assert by_value.get_secret_value() == by_file.get_secret_value() == "strong"


def test_a_policy_path_is_relative_to_the_file_that_names_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("policy: sub/policy.yaml", "etc/pushprune.yaml")
    monkeypatch.chdir(file.parents[1])
    settings = load_settings(Path("etc/pushprune.yaml"), {})
    assert settings.policy == file.parent / "sub" / "policy.yaml"


def test_a_policy_path_from_elsewhere_is_relative_to_the_working_directory(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("", {"PUSHPRUNE_POLICY": "my.yaml"}).policy == tmp_path / "my.yaml"


def test_a_home_directory_is_put_in_place_of_a_tilde(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = load("policy: ~/policy.yaml\nstorage: {path: ~/registry}")
    assert settings.policy == Path("/home/somebody/policy.yaml")
    assert settings.storage.path == Path("/home/somebody/registry")


def test_blanks_between_cron_fields_are_one(load: Load) -> None:
    assert load("gc: {schedule: '0  3 * *   mon-fri'}").gc.schedule == "0 3 * * mon-fri"


def test_hours_are_one_or_a_list_also_in_a_variable() -> None:
    hours = (Hours(22 * 60, 6 * 60), Hours(12 * 60, 13 * 60))
    for text in ("22:00-06:00, 12:00-13:00", '["22:00-06:00", "12:00-13:00"]'):
        assert load_settings(environ={"PUSHPRUNE_GC__WINDOW": text}).gc.window == hours


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("500MB", 500_000_000), ("1 GiB", 2**30), ("7", 7), ("2kB", 2000), ("3B", 3)]
)
def test_sizes_are_written_with_a_unit(text: str, size_bytes: int) -> None:
    assert load_settings(environ={"PUSHPRUNE_GC__AFTER_BYTES": text}).gc.after_bytes == size_bytes


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().listen = "x"  # type: ignore[misc]


def test_the_example_file_loads_as_it_is_and_shows_the_defaults() -> None:
    settings = load_settings(EXAMPLE, {})
    assert settings.model_dump(exclude={"policy"}) == Settings().model_dump(exclude={"policy"})
    assert isinstance(settings.policy, Policy)
    assert settings.policy.protect == ("latest",)
    assert [rule.keep for rule in settings.policy.rules] == [Keep(last=10)]


def test_the_example_file_shows_and_explains_every_key() -> None:
    sections = re.split(r"^(?=[a-z])", EXAMPLE.read_text(), flags=re.MULTILINE)
    for name in _names(Settings):
        top, _, rest = name.partition(".")
        section = next(section for section in sections if section.startswith(f"{top.removesuffix('[]')}:"))
        key = rest.rpartition(".")[2]
        assert not key or re.search(rf"^\s*(# )?(- )?{key}: |[{{ ]{key}: |^\s*{key}:$", section, re.MULTILINE), name
