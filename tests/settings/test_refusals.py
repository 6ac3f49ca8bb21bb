"""Settings that are refused: one sentence with place, key, and the word that was probably meant."""

import errno
import os
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.domain.policy.model import Keep
from service.settings import load_policy, load_settings
from tests.settings.conftest import Load, Refuse, Write

_NO_STORAGE = (
    "this is not s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER; a bucket has 3 to 63 "
    "small letters, digits, dots and hyphens"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\nregistry:\n  timeuot_s: 3", "line 3: registry.timeuot_s is unknown; did you mean registry.timeout_s?"),
        ("polcy: {}", "line 1: polcy is unknown; did you mean policy?"),
        ("URL: x", "line 1: URL is unknown; did you mean redis.url or registry.url?"),
        ("rules: []", ": this is a policy, not a configuration: put `policy: FILE` into a file and"),
        ("storage: {xyz: 1}", "line 1: storage.xyz is unknown; known here: storage.path"),
        ("<<: {listen: x}", "line 1: << is unknown; known here: tokens, listen, data_dir, redis, registry, policy,"),
        ("policy:\n  rules:\n  - name: a\n    keep: none\n  - keep:\n      lsat: 3",
         "line 6: policy.rules[1].keep.lsat is unknown; did you mean last?"),
        ("policy: {keep: {last: 3}}", "line 1: policy.keep is unknown; did you mean rules[].keep?"),
        ("policy: {rules: [{keep: none, mode: all}]}",
         "line 1: policy.rules[0].mode is unknown; did you mean keep.mode?"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_word(refuse: Refuse, text: str, sentence: str) -> None:
    assert refuse(text).startswith(f"pushprune.yaml{'' if sentence.startswith(':') else ', '}{sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("listen: 8080", "listen must be text: put it in quotes"),
        ("listen:", "listen must be text"),
        ("listen: 2001-12-13", "listen must be text: put it in quotes"),
        ("listen: localhost", "listen: this is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"),
        ("listen: 127.0.0.1:65536", "listen: this is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"),
        ("data_dir: ''", "data_dir: an empty path names no file"),
        ("registry: here", "registry must hold `key: value` pairs"),
        ("registry: {timeout_s: true}", "registry.timeout_s must be a number"),
        ("registry: {timeout_s: soon}", "registry.timeout_s must be a number"),
        ("registry: {timeout_s: 0}", "registry.timeout_s must be more than 0"),
        ("registry: {timeout_s: 3601}", "registry.timeout_s must be at most 3600"),
        ("registry: {url: 'localhost:5000'}", "registry.url: write http://HOST:PORT or https://HOST:PORT"),
        ("registry: {url: 'http://'}", "registry.url: write http://HOST:PORT or https://HOST:PORT"),
        ("registry: {url: 'http://a:b'}", "registry.url: write http://HOST:PORT or https://HOST:PORT"),
        ("registry: {url: 'http://a b'}", "registry.url: write http://HOST:PORT or https://HOST:PORT"),
        ("registry: {url: 'http://a/?b'}", "registry.url: write http://HOST:PORT or https://HOST:PORT"),
        ("registry: {url: 'https://a/v2/'}", "registry.url: leave /v2 out, it is added to every request"),
        ("registry: {username: me}",
         "registry: registry.username needs registry.password_file or registry.password"),
        ("registry: {password: x}", "registry: registry.password needs registry.username"),
        ("registry: {ca_file: /no/such}", "registry.ca_file: there is no file /no/such"),
        ("registry: {docker_config: /no/such}", "registry.docker_config: there is no file /no/such"),
        ("redis: {url: 'http://a'}",
         "redis.url: this is not redis://HOST:PORT/0, rediss://…, unix:///PATH or "
         "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/0"),
        ("redis: {url: 'redis+sentinel://a:1,b:2'}",
         "redis.url: this is not redis://HOST:PORT/0, rediss://…, unix:///PATH or "
         "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/0"),
        ("redis: {url: 'redis://a', sentinel_password: b}",
         "redis: redis.sentinel_password needs a URL of sentinels: redis+sentinel://…"),
        ("redis: {url: 'redis://a', ca_file: pushprune.yaml}",
         "redis: redis.ca_file needs a URL with TLS: rediss://… or rediss+sentinel://…"),
        ("redis: {url: 'rediss://a', key_file: pushprune.yaml}",
         "redis: redis.certificate_file and redis.key_file need each other"),
        ("redis: {prefix: 'a*'}", "redis.prefix: a prefix is 1 to 64 letters, digits or any of . : _ -"),
        ("redis: {prefix: 'a{b}'}", "redis.prefix: a prefix is 1 to 64 letters, digits or any of . : _ -"),
        ("redis: {prefix: ''}", "redis.prefix: a prefix is 1 to 64 letters, digits or any of . : _ -"),
        ("tokens: {read: 123}", "tokens.read must be text: put it in quotes"),
        ("tokens: {read: [a]}", "tokens.read must be text"),
        ("tokens: {read: ''}", "tokens.read: a token is one word of visible ASCII characters"),
        ("tokens: {read: 'a b'}", "tokens.read: a token is one word of visible ASCII characters"),
        ("tokens: {read: 'ä'}", "tokens.read: a token is one word of visible ASCII characters"),
        ("tokens: {read: a, read_file: b}", "tokens.read and tokens.read_file are both set; keep one of them"),
        ("delete: {via: apii}", "delete.via must be 'api' or 'storage'; did you mean api?"),
        ("delete: {via: storage}",
         "delete: via: storage needs storage.path, where the registry's storage is mounted read-write on this machine, "
         "or storage.url of its bucket"),
        ("storage: {url: 'http://a'}", f"storage.url: {_NO_STORAGE}"),
        ("storage: {url: 's3://ab'}", f"storage.url: {_NO_STORAGE}"),
        ("storage: {url: 'file://host/folder'}", f"storage.url: {_NO_STORAGE}"),
        ("storage: {url: 's3://key:secret@bucket'}",
         "storage.url: a URL of a storage is a scheme, a bucket and a prefix, without credentials and options"),
        ("storage: {url: 's3://bucket?region=x'}",
         "storage.url: a URL of a storage is a scheme, a bucket and a prefix, without credentials and options"),
        ("storage: {path: /a, url: 's3://bucket'}",
         "storage.path and pushprune.yaml, line 1: storage.url are both set; keep one of them"),
        ("storage: {url: 's3://bucket', access_key: a}",
         "storage: storage.access_key needs storage.secret_key_file or storage.secret_key"),
        ("storage: {url: 's3://bucket', secret_key: a}", "storage: storage.secret_key needs storage.access_key"),
        ("delete: {batch_size: 0}", "delete.batch_size must be at least 1"),
        ("delete: {batch_size: 2.5}", "delete.batch_size must be a whole number"),
        ("delete: {parallel: 65}", "delete.parallel must be at most 64"),
        ("delete: {parallel: many}", "delete.parallel must be a whole number"),
        ("delete: {parallel: yes}", "delete.parallel must be a number"),
        ("gc: {command: []}", "gc.command: an empty command collects nothing"),
        ("gc: {command: ''}", "gc.command: an empty command collects nothing"),
        ("gc: {gate: nginx}", "gc.gate must be 'none', 'proxy' or 'readonly'"),
        (
            "gc: {gate: proxy, command: x}",
            "gc: gate: proxy needs registry.debug_url, the address of the registry's http.debug.addr: only there does "
            "it report the writes in progress",
        ),
        (
            "{gc: {gate: proxy, command: docker exec r x}, registry: {debug_url: 'http://r:5001'}}",
            "gc: gate: proxy needs gc.command on the worker's own machine: a collection that docker starts elsewhere "
            "may continue unnoticed after its worker died; use gate: readonly, or let the worker run the collector "
            "itself, as in docker-compose.yml",
        ),
        ("gc: {command: [a, 1]}", "gc.command[1] must be text: put it in quotes"),
        ("gc: {command: {a: b}}", "gc.command must be a list"),
        ("gc: {command: 'a \"b'}", "gc.command: a quotation mark in this command is never closed"),
        ("gc: {schedule: '@daily'}",
         "gc.schedule: not a schedule, or never due; write minute hour day month weekday, such as 0 3 * * *"),
        ("gc: {schedule: '61 * * * *'}",
         "gc.schedule: not a schedule, or never due; write minute hour day month weekday, such as 0 3 * * *"),
        ("gc: {schedule: '0 3 31 2 *'}",
         "gc.schedule: not a schedule, or never due; write minute hour day month weekday, such as 0 3 * * *"),
        ("gc: {timeout: 1x}",
         "gc.timeout: '1x' is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d"),
        ("gc: {timeout: 0s}", "gc.timeout must be at least 1"),
        ("gc: {after_deletes: 0}", "gc.after_deletes must be at least 1"),
        ("gc: {after_bytes: 0}", "gc.after_bytes must be at least 1"),
        ("gc: {after_bytes: a lot}",
         "gc.after_bytes: 'a lot' is no size; write a number and a unit, such as 500MB, 10GB or 1GiB"),
        ("gc: {window: 22-6}",
         "gc.window: '22-6' are no hours; write them such as '22:00-06:00', and 00:00-24:00 for the whole day"),
        ("gc: {window: []}", "gc.window: write hours such as '22:00-06:00', or a list of them"),
        ("gc: {gate: open}", "gc.gate must be 'none', 'proxy' or 'readonly'"),
        ("gc: {gate: readonly, after: a}",
         "gc: gc.gate: readonly needs gc.before and gc.after, which restart the registry"),
        ("gc: {before: ''}", "gc.before: an empty command does nothing: leave it out"),
        ("history: {trash: 0}", "history.trash must be at least 1"),
        ("history: {events: 0}", "history.events must be at least 1"),
        ("log: {level: INFO}", "log.level must be 'debug', 'info', 'warning' or 'error'; did you mean info?"),
        ("log: {format: yaml}", "log.format must be 'auto', 'console' or 'json'"),
        ("policy: 5", "policy must hold `key: value` pairs, or be the path of a file"),
        ("policy: ''", "policy: an empty path names no file"),
        ("policy: {rules: [{repos: a}]}", "policy.rules[0] needs keep"),
        ("policy: {rules: [{keep: nonee}]}",
         "policy.rules[0].keep must hold `key: value` pairs, or be 'always' or 'none'; did you mean none?"),
        ("policy: {rules: [{keep: {last: 0}}]}", "policy.rules[0].keep.last must be at least 1"),
        ("policy: {protect: [1.10]}", "policy.protect[0] must be text: put it in quotes"),
        ("policy: {rules: {keep: none}}", "policy.rules must be a list"),
        ("policy: {version: 2}", "policy.version must be 1"),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_with_its_key(refuse: Refuse, text: str, sentence: str) -> None:
    assert refuse(text) == f"pushprune.yaml, line 1: {sentence}"


@pytest.mark.parametrize("time", [".nan", ".inf", "-.inf"])
def test_a_number_that_is_not_finite_is_no_time(refuse: Refuse, time: str) -> None:
    sentence = refuse(f"registry: {{timeout_s: {time}}}")
    assert sentence.startswith("pushprune.yaml, line 1: registry.timeout_s must be ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: 1\nlisten: x\nlisten: y", ", line 3: listen is already on line 2; keep one of them"),
        ("gc:\n  timeout: 1\n  max_wait: 1\n  timeout: 2", ", line 4: gc.timeout is already on line 2; keep one"),
        ("a: &x [1]\nb: [*x, *x]", ", line 1: anchors (&) and aliases (*) are not supported here"),
        ("a: *x", ", line 1: anchors (&) and aliases (*) are not supported here"),
        ("a: !!python/object/apply:os.system [x]", ", line 1: tags (!) are not supported here"),
        ("a: !x {b: c}", ", line 1: tags (!) are not supported here"),
        ("? [a]\n: b", ", line 1: a key must be one word"),
        ("a:\n  b: 2001-13-01", ", line 2: this value makes no sense; put it in quotes"),
        ("a: " + "1" * 5000, ", line 1: this value makes no sense; put it in quotes"),
        ("[" * 5000, ", line 1: this is nested more than 40 levels deep"),
        ("- " * 5000, ", line 1: this is nested more than 40 levels deep"),
        ("[1]", ", line 1: this must hold `key: value` pairs"),
        ("hello", ", line 1: this must hold `key: value` pairs"),
        ("a: 1\n---\nb: 1", ", line 2: this is not YAML: expected a single document in the stream"),
        ("a: 1\nb: [1", ", line 2: this is not YAML: it ends inside a bracket or a quotation mark"),
        ("a:\n\tb: 1", ", line 2: this is not YAML: while scanning for the next token, found character"),
        ("a: 1\nb: \x07", ", line 2: this character has no place in YAML"),
        (b"a: 1\nb: \xe4", ", line 2: this is not UTF-8 text"),
        ("listen: x".encode("utf-16"), ", line 1: this is not UTF-8 text"),
        (bytes(range(256)), ", line 2: this is not UTF-8 text"),
        (b"#" * (1024 * 1024 + 1), "cannot read pushprune.yaml: it is larger than 1024 KiB"),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_file_that_is_no_plain_yaml_is_refused(refuse: Refuse, content: str | bytes, sentence: str) -> None:
    result = refuse(content)
    assert result.startswith(f"pushprune.yaml{sentence}" if sentence.startswith(",") else sentence)


@pytest.mark.parametrize("number", ["010", "10:00", "1_0", "0x10", "0b11", "-010", "1_0.5", "10:00.5"])
def test_a_number_that_yaml_reads_as_another_is_refused(write: Write, number: str) -> None:
    file = write(f"rules:\n- keep: {{last: {number}}}")
    with pytest.raises(ConfigurationError) as refused:
        load_policy(file)
    assert str(refused.value).removeprefix(str(file)) == (
        ", line 2: a number is written in plain digits, without 0 in front, _, : or x; put text in quotes"
    )


@pytest.mark.parametrize("number", ["10", "+10", "'10'"])
def test_a_plain_number_is_one(write: Write, number: str) -> None:
    if number == "'10'":
        with pytest.raises(ConfigurationError, match="must be a whole number"):
            load_policy(write(f"rules: [{{keep: {{last: {number}}}}}]"))
    else:
        (rule,) = load_policy(write(f"rules: [{{keep: {{last: {number}}}}}]")).rules
        assert isinstance(rule.keep, Keep)
        assert rule.keep.last == 10


def test_a_byte_order_mark_and_the_largest_file_are_welcome(load: Load) -> None:
    text = b"\xef\xbb\xbfredis: {prefix: bom}\n#"
    assert load(text + b"#" * (1024 * 1024 - len(text))).redis.prefix == "bom"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file, reason in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path / "pipe", "it is not a file"),
        (tmp_path, "it is a folder; Docker creates one if a file that it mounts does not exist"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            load_settings(file, {})
        assert str(refused.value) == f"cannot read {file}: {reason}"


def test_a_file_that_pushprune_may_not_read_names_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", deny)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="Permission denied for user 4242, as whom pushprune runs: let this"):
        load_settings(tmp_path / "file", {})


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"REGISTRY_URL": "x"}, "PUSHPRUNE_REGISTRY_URL is unknown; did you mean PUSHPRUNE_REGISTRY__URL?"),
        ({"REGISTRY__URLL": "x"}, "PUSHPRUNE_REGISTRY__URLL is unknown; did you mean PUSHPRUNE_REGISTRY__URL?"),
        ({"TOKENS__NOTIFY_FIEL": "x"},
         "PUSHPRUNE_TOKENS__NOTIFY_FIEL is unknown; did you mean PUSHPRUNE_TOKENS__NOTIFY_FILE?"),
        ({"STORAGE__PORT": "tcp://x"},
         "PUSHPRUNE_STORAGE__PORT is unknown; known here: PUSHPRUNE_STORAGE__PATH, PUSHPRUNE_STORAGE__URL, "
         "PUSHPRUNE_STORAGE__ENDPOINT, PUSHPRUNE_STORAGE__REGION, PUSHPRUNE_STORAGE__PATH_STYLE, "
         "PUSHPRUNE_STORAGE__ACCESS_KEY, PUSHPRUNE_STORAGE__SECRET_KEY, PUSHPRUNE_STORAGE__SECRET_KEY_FILE, "
         "PUSHPRUNE_STORAGE__CREDENTIALS_FILE, PUSHPRUNE_STORAGE__CA_FILE, PUSHPRUNE_STORAGE__TIMEOUT_S"),
        ({"LISTEN__X": "1"}, "PUSHPRUNE_LISTEN__… must be text"),
        ({"listen": "x"}, "PUSHPRUNE_listen is unknown; did you mean PUSHPRUNE_LISTEN?"),
        ({"REGISTRY": "x"}, "PUSHPRUNE_REGISTRY must hold `key: value` pairs"),
        ({"REGISTRY": "x", "REGISTRY__URL": "y"}, "PUSHPRUNE_REGISTRY and PUSHPRUNE_REGISTRY__URL exclude each other"),
        ({"DELETE__PARALLEL": "many"}, "PUSHPRUNE_DELETE__PARALLEL must be a whole number"),
        ({"GC__TIMEOUT": "0"}, "PUSHPRUNE_GC__TIMEOUT must be at least 1"),
        ({"POLICY": '{"rules": [{"kep": 1}]}'}, "PUSHPRUNE_POLICY: rules[0].kep is unknown; did you mean keep?"),
        ({"POLICY": "{"}, "PUSHPRUNE_POLICY begins like JSON, but is not"),
        ({"POLICY": "[" * 100_000}, "PUSHPRUNE_POLICY begins like JSON, but is not"),
        ({"POLICY__DRY_RUN": "perhaps"}, "PUSHPRUNE_POLICY__DRY_RUN must be true or false"),
        ({"REGISTRY__USERNAME": "me"},
         "PUSHPRUNE_REGISTRY__…: registry.username needs registry.password_file or registry.password"),
        ({"TOKENS__READ": "a", "TOKENS__READ_FILE": "b"},
         "PUSHPRUNE_TOKENS__READ and tokens.read_file are both set; keep one of them"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_refused_by_its_name(refuse: Refuse, environ: dict[str, str], sentence: str) -> None:
    assert refuse("", {f"PUSHPRUNE_{name}": value for name, value in environ.items()}) == sentence


def test_a_wrong_override_is_refused_by_its_key(refuse: Refuse) -> None:
    assert refuse(registry={"urll": "x"}) == "registry.urll is unknown; did you mean registry.url?"
    assert refuse(delete={"parallel": 0}) == "delete.parallel must be at least 1"


def test_a_value_is_blamed_on_the_source_that_won(refuse: Refuse) -> None:
    text = "delete: {parallel: wrong}"
    assert refuse(text, {"PUSHPRUNE_DELETE__PARALLEL": "0"}) == "PUSHPRUNE_DELETE__PARALLEL must be at least 1"
    assert refuse("\ngc:\n  timeout: no", {"PUSHPRUNE_GC__MAX_WAIT": "1"}).startswith(
        "pushprune.yaml, line 3: gc.timeout"
    )


def test_two_settings_that_exclude_each_other_are_named_where_each_is_set(refuse: Refuse) -> None:
    sentence = refuse("\nstorage:\n  url: s3://bucket", {"PUSHPRUNE_STORAGE__PATH": "/var/lib/registry"})
    assert sentence == (
        "PUSHPRUNE_STORAGE__PATH and pushprune.yaml, line 3: storage.url are both set; keep one of them"
    )


def test_a_variable_cannot_reach_into_a_policy_in_its_own_file(refuse: Refuse) -> None:
    sentence = refuse("policy: policy.yaml", {"PUSHPRUNE_POLICY__DRY_RUN": "true"})
    assert sentence == (
        "pushprune.yaml, line 1: policy is a file of its own: policy.dry_run cannot be set from elsewhere, "
        "change it there"
    )


def test_a_section_that_is_none_is_not_hidden_by_the_environment(refuse: Refuse) -> None:
    sentence = refuse("registry: x", {"PUSHPRUNE_REGISTRY__URL": "http://y"})
    assert sentence == "pushprune.yaml, line 1: registry must hold `key: value` pairs"


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":80", "[::]:80", "registry.example:80", "192.168.0.1:80"])
def test_without_a_token_only_this_machine_may_connect(load: Load, refuse: Refuse, listen: str) -> None:
    assert refuse(f"listen: '{listen}'") == (
        "pushprune.yaml, line 1: listen: without tokens only this machine may connect: set tokens.notify_file, "
        "tokens.read_file and tokens.admin_file, or listen on 127.0.0.1"
    )
    assert load(f"listen: '{listen}'\ntokens: {{notify: 0123456789abcdef}}").listen == listen


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("{notify: a}", "tokens.notify has less than 16 characters"),
        ("{notify: 0123456789abcdef, admin: 0123456789abcde}", "tokens.admin has less than 16 characters"),
        ("{notify: 0123456789abcdef, admin: 0123456789abcdef}", "two tokens are the same"),
    ],
)
def test_tokens_must_be_long_if_other_machines_can_connect(
    load: Load, refuse: Refuse, tokens: str, sentence: str
) -> None:
    assert sentence in refuse(f"tokens: {tokens}\nlisten: 0.0.0.0:80")
    assert sentence in refuse(f"tokens: {tokens}\nweb: {{proxies: [10.0.0.7]}}")
    assert load(f"tokens: {tokens}\nlisten: 127.0.0.1:80").tokens.notify


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "127.8.0.1:0", "[::1]:80", "localhost:80"])
def test_a_client_of_this_machine_needs_no_token(load: Load, listen: str) -> None:
    assert load(f"listen: '{listen}'").listen == listen


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("registry garbage-collect -m /config.yml", "-m"),
        ("registry garbage-collect /config.yml --delete-untagged", "--delete-untagged"),
        ("registry garbage-collect --delete-untagged=true /config.yml", "--delete-untagged=true"),
        ("registry garbage-collect -dm /config.yml", "-dm"),
        ("registry -m=true garbage-collect /config.yml", "-m=true"),
        ("sh -c 'registry garbage-collect -m /config.yml'", "-m"),
        ("collect.sh -m", "-m"),
    ],
)
def test_a_command_that_destroys_multi_arch_images_is_refused(refuse: Refuse, command: str, flag: str) -> None:
    for given in (command, command.split()):
        sentence = refuse(gc={"command": given})
        assert sentence.startswith(f"gc.command: leave {flag} out: it destroys the children of multi-arch images")


def test_the_same_letters_elsewhere_are_no_reason_to_refuse(load: Load) -> None:
    command = "docker run -m 512m --rm registry:3 garbage-collect --dry-run /m/config-m.yml"
    assert load(gc={"command": command}).gc.command == command.split()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("version: 1\nruls: []", "line 2: ruls is unknown; did you mean rules?"),
        ("rules:\n- repos: a", "line 2: rules[0] needs keep"),
        ("rules:\n- repos: a\n  kep: none", "line 3: rules[0].kep is unknown; did you mean keep?"),
        ("rules:\n- keep:\n    last: x", "line 3: rules[0].keep.last must be a whole number"),
        ("grace: soon", "line 1: grace: 'soon' is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d"),
        ("rules:\n- {name: a, keep: none}\n- {name: a, keep: none}",
         "line 3: rules[1].name: two rules are called 'a'; give each its own name"),
        ("rules: [\n", "line 2: this is not YAML: it ends inside a bracket or a quotation mark that is not closed"),
    ],
)  # fmt: skip
def test_a_policy_file_is_refused_with_line_and_key(write: Write, text: str, sentence: str) -> None:
    file = write(text, "policy.yaml")
    with pytest.raises(ConfigurationError) as refused:
        load_policy(file)
    assert str(refused.value).startswith(f"{file}, {sentence}")


def test_a_good_policy_file_loads(write: Write) -> None:
    assert load_policy(write("protect: latest\nrules:\n- keep: {last: 3}", "policy.yaml")).protect == ("latest",)
    assert load_policy(write("", "policy.yaml")).rules == ()


@pytest.mark.parametrize("text", ["tags: [!pr-*]", "tags: [*]", "tags: *x", "tags: [a,\n  *x]"])
def test_a_pattern_without_quotes_is_refused_with_the_way_out(refuse: Refuse, text: str) -> None:
    assert refuse(text).endswith("; put patterns in quotes: '!pr-*'")


ONLINE = "gc: {collector: online, gate: proxy}"
REGISTRY = "registry: {url: 'http://a', debug_url: 'http://b'}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{REGISTRY}\nstorage: {{path: /}}\ngc: {{collector: online}}",
         "collector: online needs gate: proxy"),
        (f"{REGISTRY}\nstorage: {{path: /}}\n{ONLINE[:-1]}, gate_without_redis: open}}",
         "gate_without_redis must not be open"),
        (f"{REGISTRY}\n{ONLINE}", "collector: online needs storage.path"),
        (f"{REGISTRY}\nstorage: {{path: /}}\n{ONLINE[:-1]}, grace: 899s}}", "grace and youth of at least 15m"),
        (f"{REGISTRY}\nstorage: {{path: /}}\n{ONLINE[:-1]}, youth: 1m}}", "grace and youth of at least 15m"),
        (f"registry: {{url: 'http://a'}}\nstorage: {{path: /}}\n{ONLINE}",
         "collector: online needs registry.url and registry.debug_url"),
    ],
)  # fmt: skip
def test_an_online_collection_without_a_gate_or_a_storage_is_refused(refuse: Refuse, text: str, sentence: str) -> None:
    assert sentence in refuse(text)
