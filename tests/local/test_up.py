"""Preparation of `up` before anything starts: one environment for all children, one sentence for each refusal."""

import io
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.domain.errors import ConfigurationError, PushpruneError
from service.domain.policy.model import Keep
from service.local.environment import environment_of
from service.local.supervisor import Supervisor
from service.local.transcript import Transcript
from service.local.up import PreparedSystem, UpOptions, _introduce, _sign_in_hint, prepared
from service.settings import load_policy, load_settings
from tests.conftest import MakeWiring, keep_last
from tests.fakes.valkey import Valkey

URL = "http://127.0.0.1:5000"


class Screen(io.StringIO):
    """An output in memory that may be a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture
def inherited() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def options(tmp_path: Path) -> UpOptions:
    return UpOptions(registry=URL, listen="127.0.0.1:0", data=tmp_path / "data")


def change(options: UpOptions, **fields: object) -> UpOptions:
    return UpOptions(**{**vars(options), **fields})


def prepare(options: UpOptions, inherited: dict[str, str]) -> PreparedSystem:
    with prepared(options, inherited) as system:
        return system


def test_the_children_are_told_all_of_it_by_environment(options: UpOptions, inherited: dict[str, str]) -> None:
    system = prepare(options, inherited)
    assert system.environ["PUSHPRUNE_REGISTRY__URL"] == URL
    assert system.environ["PUSHPRUNE_DATA_DIR"] == str(options.data)
    assert system.environ["PUSHPRUNE_LISTEN"] == system.settings.listen != "127.0.0.1:0"
    assert system.environ["PUSHPRUNE_LOG__FORMAT"] == "console"
    assert system.environ["PATH"] == inherited["PATH"]


def test_secrets_are_told_by_file_alone(options: UpOptions, inherited: dict[str, str]) -> None:
    system = prepare(options, inherited)
    secrets = [token for name in ("notify", "read", "admin") if (token := getattr(system.settings.tokens, name))]
    words = [secret.get_secret_value() for secret in secrets] + [str(system.settings.redis.url)]
    assert len(words) == 4
    assert not any(word in value for word in words for value in system.environ.values())


@pytest.mark.parametrize(("applies", "first_plan"), [(False, "hold"), (True, "apply")])
def test_the_first_clean_up_waits_unless_the_operator_said_yes(
    options: UpOptions, inherited: dict[str, str], applies: bool, first_plan: str
) -> None:
    system = prepare(change(options, keep_last=3, applies_first_plan=applies), inherited)
    assert load_policy(Path(system.environ["PUSHPRUNE_POLICY"])).first_plan == first_plan


def test_a_second_start_finds_the_same_tokens_redis_and_password(options: UpOptions, inherited: dict[str, str]) -> None:
    first, second = prepare(options, inherited), prepare(options, inherited)
    assert (first.settings.tokens, first.settings.redis) == (second.settings.tokens, second.settings.redis)


def test_the_block_for_the_registry_is_kept_for_its_owner(options: UpOptions, inherited: dict[str, str]) -> None:
    system = prepare(options, inherited)
    file = system.settings.data_dir / "notifications.yml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    endpoint = yaml.safe_load(file.read_text())["notifications"]["endpoints"][0]
    assert endpoint["url"] == f"{system.address}/notifications"
    token = (system.settings.data_dir / "tokens" / "notify").read_text().strip()
    assert endpoint["headers"] == {"Authorization": [f"Bearer {token}"]}


def test_keep_last_makes_a_policy_that_protects_latest(options: UpOptions, inherited: dict[str, str]) -> None:
    system = prepare(change(options, keep_last=7), inherited)
    policy = load_policy(Path(system.environ["PUSHPRUNE_POLICY"]))
    assert system.settings.policy == Path(system.environ["PUSHPRUNE_POLICY"])
    assert policy.protects("latest")
    assert not policy.protects("v1")
    ((_, rule),) = policy.rules_for("any/repository")
    assert rule.keep == Keep(last=7)


def test_without_keep_last_the_last_start_s_policy_is_not_in_force(
    options: UpOptions, inherited: dict[str, str]
) -> None:
    prepare(change(options, keep_last=7), inherited)
    assert prepare(options, inherited).settings.policy is None


def test_keep_last_beside_another_policy_is_refused(
    tmp_path: Path, options: UpOptions, inherited: dict[str, str]
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("policy: {rules: [{keep: {last: 3}}]}")
    with pytest.raises(ConfigurationError, match="give only one of them"):
        prepare(change(options, keep_last=7, config=config), inherited)


def test_tokens_and_redis_that_the_settings_give_are_left_as_they_are(
    tmp_path: Path, options: UpOptions, inherited: dict[str, str]
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("{tokens: {notify: mine}, redis: {url: 'redis://elsewhere:6379/0'}}")
    system = prepare(change(options, config=config), inherited)
    assert system.redis is None
    assert system.settings.redis.url == "redis://elsewhere:6379/0"
    assert "Bearer mine" in system.notifications
    assert {file.name for file in (system.settings.data_dir / "tokens").iterdir()} == {"read", "admin"}


def test_redis_url_comes_before_a_redis_of_our_own(options: UpOptions, inherited: dict[str, str]) -> None:
    system = prepare(options, inherited | {"REDIS_URL": "redis://elsewhere:6379/3"})
    assert system.redis is None
    assert system.settings.redis.url == "redis://elsewhere:6379/3"


def test_secrets_that_variables_give_are_kept_in_files_of_their_own(
    options: UpOptions, inherited: dict[str, str]
) -> None:
    given = {
        "PUSHPRUNE_TOKENS__NOTIFY": "given-notify-token",
        "PUSHPRUNE_REDIS__URL": "redis://:given-password@elsewhere:6379/0",
        "PUSHPRUNE_REGISTRY__USERNAME": "pruner",
        "PUSHPRUNE_REGISTRY__PASSWORD": "given-registry-password",
    }
    system = prepare(options, inherited | given)
    data = system.settings.data_dir
    kept = (data / "environment.json").read_text() + str(dict(system.environ))
    assert "given-" not in kept
    others = load_settings(environ=environment_of(data)).model_dump()
    assert system.settings.model_dump() == others, "the other verbs reach the same system"
    notify, password = system.settings.tokens.notify, system.settings.registry.password
    assert notify is not None
    assert password is not None
    assert (notify.get_secret_value(), password.get_secret_value()) == ("given-notify-token", "given-registry-password")
    for file in (data / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_token_is_shown_to_a_person_and_to_no_log(
    options: UpOptions, inherited: dict[str, str], is_terminal: bool
) -> None:
    system, out = prepare(options, inherited), Screen(is_terminal)
    _introduce(system, Transcript(out, colour=False))
    assert ("Bearer" in out.getvalue()) == is_terminal
    assert (str(system.settings.data_dir / "notifications.yml") in out.getvalue()) != is_terminal
    assert "storage: {delete: {enabled: true}}" in out.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_link_to_the_dashboard_is_shown_to_a_person_and_to_no_log(
    options: UpOptions, inherited: dict[str, str], make_wiring: MakeWiring, is_terminal: bool
) -> None:
    redis, out = make_wiring().settings.redis, Screen(is_terminal)
    system = prepare(options, inherited | {"REDIS_URL": str(redis.url), "PUSHPRUNE_REDIS__PREFIX": redis.prefix})
    hint = _sign_in_hint(system, Transcript(out, colour=False))
    assert (f"{system.address}/login/" in hint) == is_terminal
    assert f"pushprune sign-in --data {options.data}" in hint


def test_an_address_for_all_machines_is_fine_since_there_are_tokens(
    options: UpOptions, inherited: dict[str, str]
) -> None:
    system = prepare(change(options, listen="0.0.0.0:0"), inherited)
    assert system.address.startswith("http://127.0.0.1:")
    assert socket.gethostname() in system.notifications


def test_the_registry_s_address_is_needed(options: UpOptions, inherited: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="give it with --registry"):
        prepare(change(options, registry=None), inherited)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_address_that_is_taken_is_refused_before_anything_starts(
    options: UpOptions, inherited: dict[str, str], taken: int
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        prepare(change(options, listen=f"127.0.0.1:{taken}"), inherited)
    assert str(refusal.value) == (
        f"cannot listen on 127.0.0.1:{taken}: Address already in use; choose another address with --listen"
    )


def test_an_address_that_is_free_in_a_moment_is_waited_for(
    options: UpOptions, inherited: dict[str, str], taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel frees the ports of a killed system after its directory."""
    reasons = iter(["Address already in use"])
    monkeypatch.setattr("service.local.up.why_not_listen", lambda host, port: next(reasons, None))
    listen = f"127.0.0.1:{taken}"
    assert prepare(change(options, listen=listen), inherited).settings.listen == listen


def test_two_on_one_directory_are_refused(options: UpOptions, inherited: dict[str, str]) -> None:
    with prepared(options, inherited), pytest.raises(PushpruneError, match="is in use by another `pushprune up`"):
        prepare(options, inherited)


def test_a_refused_start_leaves_the_directory_free(options: UpOptions, inherited: dict[str, str], taken: int) -> None:
    with pytest.raises(ConfigurationError):
        prepare(change(options, listen=f"127.0.0.1:{taken}"), inherited)
    prepare(options, inherited)


def test_the_settings_of_the_children_are_kept_for_the_other_verbs(
    options: UpOptions, inherited: dict[str, str]
) -> None:
    system = prepare(options, inherited)
    kept = environment_of(system.settings.data_dir)
    assert kept == {name: value for name, value in system.environ.items() if name.startswith("PUSHPRUNE_")}


def test_paths_are_told_so_that_they_hold_in_any_directory(
    tmp_path: Path, options: UpOptions, inherited: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yml").write_text("data_dir: here")
    environ = prepare(change(options, data=None), inherited | {"PUSHPRUNE_CONFIG": "config.yml"}).environ
    assert environ["PUSHPRUNE_CONFIG"] == str(tmp_path / "config.yml")
    assert environ["PUSHPRUNE_DATA_DIR"] == str(tmp_path / "here")


def test_a_policy_file_that_broke_since_the_last_start_leaves_that_one_s_policy_in_force(
    tmp_path: Path, options: UpOptions, inherited: dict[str, str], make_wiring: MakeWiring
) -> None:
    file, redis = tmp_path / "policy.yaml", make_wiring().settings.redis
    file.write_text("rules: [{keep: {lst: 3}}]")
    messages = {"PUSHPRUNE_POLICY": str(file), "REDIS_URL": str(redis.url), "PUSHPRUNE_REDIS__PREFIX": redis.prefix}
    system = prepare(options, inherited | messages)
    with pytest.raises(ConfigurationError, match="did you mean last"):
        system.policy_complaint()
    before = make_wiring(policy=keep_last(3)).policies
    assert make_wiring().store.policy_changes.begin(before.digest, before.written) is None
    assert str(system.policy_complaint()).endswith("; the previous policy stays in force")
    file.write_text("rules: [{keep: {last: 3}}]")
    assert system.policy_complaint() is None


def test_further_variables_reach_the_children(options: UpOptions, inherited: dict[str, str]) -> None:
    command = ["registry", "garbage-collect", "/a b/config.yml"]
    system = prepare(change(options, more={"PUSHPRUNE_GC__COMMAND": json.dumps(command)}), inherited)
    assert system.settings.gc.command == command


def test_only_the_children_watch_the_store(tmp_path: Path, options: UpOptions, inherited: dict[str, str]) -> None:
    """A watch of the parent would report that Redis is away when all processes end."""
    before = threading.active_count()
    with Valkey(tmp_path) as server:
        system = prepare(change(options, more={"PUSHPRUNE_REDIS__URL": server.url}), inherited)
        system.start_redis(Supervisor(Transcript(io.StringIO())))
        assert threading.active_count() == before
