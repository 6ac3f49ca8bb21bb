"""The policy in force while its file changes, breaks and is mended."""

import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError, StoreUnavailable
from service.domain.policy.model import Keep, Policy
from service.settings import PolicySource, Settings, load_policy, load_settings, reload
from tests.settings.conftest import Load, Write

pytestmark = pytest.mark.slow


def policy(last: int) -> str:
    return f"rules:\n- keep: {{last: {last}}}\n"


def policy_json(last: int) -> str:
    return f'{{"rules": [{{"keep": {{"last": {last}}}}}]}}'


def inline(last: int) -> str:
    return f"policy:\n  rules:\n  - keep: {{last: {last}}}\n"


def last_of(source: PolicySource) -> int | None:
    result = source.current()
    if not result or not result.rules:
        return None
    keep = result.rules[0].keep
    assert isinstance(keep, Keep)
    return keep.last


def assert_in_force(source: PolicySource, last: int) -> None:
    assert last_of(source) == last
    assert source.error is None


def replace(file: Path, text: str) -> None:
    """Replace a file at once, as editors and configuration management do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


@pytest.fixture(params=["own file", "inline"])
def home(request: pytest.FixtureRequest, write: Write) -> tuple[Path, Path, Callable[[int], str]]:
    """The configuration, the file that holds the policy, and how a policy is written there."""
    if request.param == "inline":
        file = write(inline(10))
        return file, file, inline
    return write("policy: policy.yaml"), write(policy(10), "policy.yaml"), policy


def test_a_policy_is_taken_up_when_its_file_is_replaced(home: tuple[Path, Path, Callable[[int], str]]) -> None:
    config, file, text = home
    source = PolicySource(load_settings(config, {}))
    assert last_of(source) == 10
    replace(file, text(11))
    assert_in_force(source, 11)
    file.write_text(text(12))
    assert_in_force(source, 12)


def test_an_invalid_policy_leaves_the_previous_one_in_force_until_it_is_valid(
    home: tuple[Path, Path, Callable[[int], str]],
) -> None:
    config, file, text = home
    source = PolicySource(load_settings(config, {}))
    digest = source.digest
    replace(file, text(10).replace("last", "lsat"))
    assert (last_of(source), source.digest) == (10, digest)
    line = 2 if text is policy else 3
    assert source.error
    assert source.error.startswith(f"{file}, line {line}: ")
    assert source.error.endswith("is unknown; did you mean last?")
    assert last_of(source) == 10
    replace(file, text(11))
    assert_in_force(source, 11)
    assert source.digest != digest


def test_the_policy_of_a_removed_file_stays_in_force_until_the_file_exists_again(
    home: tuple[Path, Path, Callable[[int], str]],
) -> None:
    config, file, text = home
    source = PolicySource(load_settings(config, {}))
    file.unlink()
    assert last_of(source) == 10
    assert source.error == f"cannot read {file}: No such file or directory"
    file.mkdir()
    assert last_of(source) == 10
    assert (
        source.error
        == f"cannot read {file}: it is a folder; Docker creates one if a file that it mounts does not exist"
    )
    file.rmdir()
    file.write_text(text(11))
    assert_in_force(source, 11)


@pytest.mark.parametrize(
    "broken",
    [b"rules: [", b"\xff\xfe", b"a: &x\nb: *x", b"[" * 9999, b"#" * (2 << 20), b"rules: 5", b"polcy: {rules: []}"],
)
def test_no_garbage_gets_past_the_policy_in_force(home: tuple[Path, Path, Callable[[int], str]], broken: bytes) -> None:
    config, file, _ = home
    source = PolicySource(load_settings(config, {}))
    file.write_bytes(broken)
    assert last_of(source) == 10
    assert source.error
    assert "\n" not in source.error


def test_a_policy_that_cannot_be_read_at_the_start_is_refused(load: Load, write: Write) -> None:
    settings = load("policy: policy.yaml")
    with pytest.raises(ConfigurationError, match=r"cannot read .*policy\.yaml: No such file"):
        PolicySource(settings)
    write("ruls: []", "policy.yaml")
    with pytest.raises(ConfigurationError, match=r"policy\.yaml, line 1: ruls is unknown; did you mean rules\?"):
        PolicySource(settings)


def test_an_unchanged_file_is_not_read_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(policy(10), "policy.yaml")
    os.utime(file, (1, 1))
    source = PolicySource(Settings(policy=file))
    monkeypatch.setattr(reload, "load_policy", lambda file: pytest.fail("read again"))
    assert [last_of(source) for _ in range(3)] == [10, 10, 10]


def test_a_broken_file_is_read_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(policy(10), "policy.yaml")
    source = PolicySource(Settings(policy=file))
    replace(file, "ruls: []")
    assert last_of(source) == 10
    monkeypatch.setattr(reload, "load_policy", lambda file: pytest.fail("read again"))
    assert last_of(source) == 10
    assert source.error


def test_a_write_that_leaves_size_and_time_as_they_were_is_seen(write: Write) -> None:
    file = write(policy(10), "policy.yaml")
    os.utime(file, (1, 1))
    source = PolicySource(Settings(policy=file))
    file.write_text(policy(11))
    os.utime(file, (1, 1))
    assert last_of(source) == 11


def test_a_write_in_the_same_tick_of_the_clock_is_seen(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(policy(10), "policy.yaml")
    print_ = reload._print(file)
    assert print_
    # However long the machine takes from the write to the read, the clock does not go on.
    monkeypatch.setattr(time, "time_ns", lambda: print_[0])
    monkeypatch.setattr(reload, "_print", lambda file: print_)
    source = PolicySource(Settings(policy=file))
    file.write_text(policy(11))
    assert last_of(source) == 11


@pytest.mark.parametrize("moment", ["before it is read", "after it was read"])
def test_a_file_that_is_still_being_written_is_no_policy_yet(
    write: Write, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Cut short in the wrong place, `last: 12` reads `last: 1`, which would delete eleven images too many."""
    whole, cut = "rules:\n- keep:\n    last: 12", "rules:\n- keep:\n    last: 1"
    file = write(policy(10), "policy.yaml")
    source = PolicySource(Settings(policy=file))
    file.write_text(cut)

    def read_and_write_the_rest(path: Path) -> Policy:
        rules = load_policy(path)
        file.write_text(whole)
        return rules

    with monkeypatch.context() as patch:
        if moment == "after it was read":
            patch.setattr(reload, "load_policy", read_and_write_the_rest)
        else:
            patch.setattr(time, "sleep", lambda _: file.write_text(whole))
        assert_in_force(source, 10)
    assert_in_force(source, 12)


def test_a_read_that_failed_by_itself_is_tried_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(policy(10), "policy.yaml")
    source = PolicySource(Settings(policy=file))
    replace(file, policy(11))

    def fail(path: Path) -> Policy:
        raise ConfigurationError("cannot read it: Stale file handle") from OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(reload, "load_policy", fail)
        assert last_of(source) == 10
    assert source.error == "cannot read it: Stale file handle"
    assert_in_force(source, 11)


def test_a_change_is_read_by_one_thread_for_all(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(policy(10), "policy.yaml")
    os.utime(file, (1, 1))
    source = PolicySource(Settings(policy=file))
    replace(file, policy(11))
    os.utime(file, (2, 2))
    reads: list[Path] = []

    def count(path: Path) -> Policy:
        reads.append(path)
        return load_policy(path)

    monkeypatch.setattr(reload, "load_policy", count)
    with ThreadPoolExecutor(4) as threads:
        barrier = threading.Barrier(4)
        result = [threads.submit(lambda: barrier.wait() >= 0 and last_of(source)) for _ in range(4)]
    assert [future.result() for future in result] == [11] * 4
    assert len(reads) == 1


def test_a_link_that_is_turned_to_another_directory_is_followed(write: Write, tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap like this."""
    write(policy(10), "one/policy.yaml")
    write(policy(11), "two/policy.yaml")
    (tmp_path / "data").symlink_to("one")
    source = PolicySource(Settings(policy=tmp_path / "data" / "policy.yaml"))
    assert last_of(source) == 10
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert last_of(source) == 11


def test_another_key_of_the_configuration_does_not_hold_up_its_policy(write: Write) -> None:
    config = write(inline(10))
    source = PolicySource(load_settings(config, {}))
    replace(config, inline(11) + "delete: {parallel: 0}\ntokens: {read_file: gone}\n")
    assert_in_force(source, 11)


def test_variables_and_overrides_still_hold_when_the_policy_is_read_again(write: Write) -> None:
    config = write(inline(10))
    source = PolicySource(load_settings(config, {"PUSHPRUNE_POLICY__DRY_RUN": "true"}, policy={"grace": "5s"}))
    replace(config, inline(11) + "  protect: latest\n")
    result = source.current()
    assert result
    assert (result.dry_run, result.grace, result.protect, last_of(source)) == (True, 5, ("latest",), 11)


def test_a_policy_may_move_to_its_own_file_and_back(write: Write) -> None:
    config, file = write(inline(10)), write(policy(11), "policy.yaml")
    source = PolicySource(load_settings(config, {}))
    replace(config, "policy: policy.yaml")
    assert last_of(source) == 11
    replace(file, policy(12))
    assert last_of(source) == 12
    replace(config, inline(13))
    assert last_of(source) == 13


def test_a_policy_may_be_written_and_taken_away_later(write: Write) -> None:
    config = write("")
    source = PolicySource(load_settings(config, {}))
    assert source.current() is None
    replace(config, inline(10))
    assert last_of(source) == 10
    replace(config, "")
    assert (source.current(), source.error) == (None, None)


def test_a_policy_given_as_a_value_is_kept() -> None:
    given = Policy.model_validate({"rules": [{"keep": "always"}]})
    assert PolicySource(Settings(policy=given)).current() == given
    assert PolicySource(load_settings(environ={}, policy=given)).current() == given
    assert PolicySource(Settings()).current() is None


def test_equal_policies_have_equal_digests(write: Write) -> None:
    first = PolicySource(Settings(policy=write("grace: 60s\nprotect: latest\n", "one.yaml")))
    same = PolicySource(Settings(policy=write("# same\nprotect: [latest]\ngrace: 1m\n", "same.yaml")))
    other = PolicySource(Settings(policy=write("protect: [latest]\n", "other.yaml")))
    assert first.digest == same.digest != other.digest
    assert PolicySource(Settings()).digest not in (first.digest, other.digest, "")


def test_a_patient_process_waits_for_a_policy_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: what")
    settings = load_settings(environ={}, policy=str(file))
    with pytest.raises(ConfigurationError):
        PolicySource(settings)
    source = PolicySource(settings, patient=True)
    assert source.current() is None
    assert "policy.yaml" in str(source.error)
    file.write_text("protect: [latest]")
    policy = source.current()
    while policy is None:
        policy = source.current()
    assert policy.protect == ("latest",)
    assert source.error is None


def test_a_policy_file_may_give_way_to_another_or_to_the_configuration(write: Write) -> None:
    config = write("policy: one.yaml")
    write(policy(10), "one.yaml")
    source = PolicySource(load_settings(config, {}))
    replace(config, inline(11))
    assert_in_force(source, 11)
    assert source.file == config
    two = write(policy(12), "two.yaml")
    replace(config, "policy: two.yaml")
    assert_in_force(source, 12)
    assert source.file == two


def test_a_broken_policy_key_is_noticed_where_the_policy_had_a_file(write: Write) -> None:
    config = write("policy: policy.yaml")
    write(policy(10), "policy.yaml")
    source = PolicySource(load_settings(config, {}))
    replace(config, "policy: 5")
    assert last_of(source) == 10
    assert source.complaint
    assert source.complaint.startswith(f"{config}, line 1: policy must ")
    assert source.complaint.endswith("; the previous policy stays in force")


def test_the_file_that_a_configuration_names_newly_is_watched_although_it_is_broken(write: Write) -> None:
    config, two = write("policy: one.yaml"), write("ruls: []", "two.yaml")
    write(policy(10), "one.yaml")
    source = PolicySource(load_settings(config, {}))
    replace(config, "policy: two.yaml")
    assert (last_of(source), "ruls is unknown" in str(source.error)) == (10, True)
    replace(two, policy(12))
    assert_in_force(source, 12)


def test_a_file_that_is_broken_at_the_start_leaves_the_policy_of_the_life_before(write: Write) -> None:
    file = write(policy(10), "policy.yaml")
    before = PolicySource(Settings(policy=file))
    replace(file, "ruls: []")
    after = PolicySource(Settings(policy=file), patient=True, remembered=lambda: before.written)
    assert (last_of(after), after.digest) == (10, before.digest)
    assert str(after.complaint).endswith("; the previous policy stays in force")
    replace(file, policy(11))
    assert_in_force(after, 11)
    assert after.complaint is None


@pytest.mark.parametrize("text", ["", '{"rules": [{"keep": {"lst": 1}}]}', "no JSON"])
def test_no_policy_is_in_force_if_no_usable_policy_is_remembered(write: Write, text: str) -> None:
    source = PolicySource(Settings(policy=write("ruls: []", "policy.yaml")), patient=True, remembered=lambda: text)
    assert source.current() is None
    assert str(source.complaint).endswith("; no policy is in force, nothing is deleted")


def test_a_store_that_is_away_at_the_start_is_asked_again(write: Write) -> None:
    asked: list[str] = []

    def remembered() -> str:
        asked.append("what was in force?")
        if len(asked) == 1:
            raise StoreUnavailable("gone for a moment")
        return policy_json(10)

    source = PolicySource(Settings(policy=write("ruls: []", "policy.yaml")), patient=True, remembered=remembered)
    assert [last_of(source) for _ in range(3)] == [None, 10, 10]
