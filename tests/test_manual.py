"""The manual is complete and correct: settings, verbs, options, Redis keys, links, YAML."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from service.cli.main import VERBS, pushprune
from service.dispatch import QUEUES
from service.doctor import redis as doctor_redis
from service.domain.policy.model import Keep, Policy, Rule
from service.settings import Settings, load_settings
from service.store import keys
from tests.support import manual

PAGES = manual.pages()
CONFIG = manual.ROOT / "config/pushprune.yaml"
SETTINGS = tuple(name for name, _ in manual.settings_of(Settings))
each_document = pytest.mark.parametrize("file", list(manual.documents()), ids=lambda file: str(file.name))


def test_readme_is_short() -> None:
    assert len(PAGES[manual.README].splitlines()) <= 200


def test_readme_has_the_two_commands() -> None:
    block = next(block for block in manual.code_blocks(PAGES[manual.README], "sh") if "make demo" in block)
    assert "make test " in block
    assert "make test" in (manual.ROOT / ".ci/run").read_text()


def test_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in manual.links(PAGES[manual.README])}
    assert {str(file.relative_to(manual.ROOT)) for file in manual.DOCS.glob("*.md")} <= linked


@pytest.mark.parametrize("name", manual.expected())
def test_generated_parts_are_those_that_make_docs_writes(name: str) -> None:
    assert manual.page(name) == manual.expected()[name], "run `make docs`"


def test_every_redis_key_is_in_the_schema() -> None:
    assert (keys.__doc__ or "").split("\n\n", 1)[1].strip("\n") in manual.page("redis-schema")


def test_every_setting_is_in_its_table_and_in_the_configuration() -> None:
    assert "gc.command" in SETTINGS
    assert [name for name in SETTINGS if f"| `{name}` |" not in manual.page("settings")] == []
    written = CONFIG.read_text()
    assert [
        name for name in SETTINGS if not re.search(rf"^ *(# )?(- )?{name.rpartition('.')[2]}:", written, re.M)
    ] == []


def test_every_setting_that_the_manual_names_exists() -> None:
    sections = {name.partition(".")[0] for name in SETTINGS if "." in name}
    pattern = re.compile(rf"`((?:{'|'.join(sections)})\.[a-z_]+)\b(?!\.(?:yml|yaml|md|conf))(?=[`: ])")
    named = {(file.name, name) for file, text in PAGES.items() for name in pattern.findall(text)}
    assert len(named) > 40
    # Keys of the registry's own configuration.
    others = {"storage.delete", "storage.cache", "storage.delete.enabled", "registry.yml"}
    assert sorted((file, name) for file, name in named if name not in {*SETTINGS, *others}) == []


def test_every_verb_is_on_the_page_of_the_command_line() -> None:
    table = manual.page("command-line").partition("## Every verb")[2].partition("## ")[0]
    assert [verb for verb in VERBS if f"| `pushprune {verb}" not in table] == []


def commands() -> Iterator[tuple[str, str]]:
    """Every pushprune command of the manual with its page: of shell blocks, transcripts and the code in a text."""
    for file, text in PAGES.items():
        shown = [
            *("".join(manual.code_blocks(text, "sh"))).splitlines(),
            *re.findall(r"^\$ (.+)$", "".join(manual.code_blocks(text, "")), re.MULTILINE),
            *re.findall(r"`([^`\n]+)`", manual.without_code(text)),
        ]
        for line in shown:
            for command in re.findall(r"\bpushprune [a-z].*?(?=&&|\||$)", line.partition("   #")[0]):
                yield file.name, command


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_every_command_has_a_verb_and_options_that_exist(page: str, command: str) -> None:
    words = [word for word in shlex.split(re.sub(r"[\[\]…]|> \S+", " ", command)) if word != "pushprune"]
    context = click.Context(pushprune)
    verb: click.Command = pushprune
    while isinstance(verb, click.Group) and words:
        name, *words = words
        result = verb.get_command(context, name)
        assert result, f"{page}: `{command}`: there is no {name}"
        verb, context = result, click.Context(result, parent=context)
    options = {option for parameter in verb.params for option in parameter.opts} | {"--help"}
    before_others_flags = words[: words.index("--")] if "--" in words else words
    assert [word for word in before_others_flags if word.startswith("-") and word not in {*options, "-"}] == []


def test_the_manual_has_more_than_60_commands() -> None:
    assert len(set(commands())) > 60


def programs() -> set[str]:
    """The programs of all shell blocks except pushprune; those with verbs of different kinds with their verb."""
    blocks = "".join(block for text in PAGES.values() for block in manual.code_blocks(text, "sh"))
    lines = [line.partition(" #")[0].strip() for line in re.sub(r"\\\n\s*", " ", blocks).splitlines()]
    called = [call for line in lines for call in re.findall(r"(?:^|&& |\| |\$\()([a-z][\w.-]*)(?: ([a-z]\w*))?", line)]
    named = {f"{program} {verb}" if program in ("docker", "make") else program for program, verb in called}
    return named - {"pushprune", "cd", "echo", "while", "done", "export", "cp", "rm", "sed", "sort", "printf"}


def test_every_program_of_the_manual_is_run_by_a_test_or_listed_as_read() -> None:
    table = (manual.ROOT / "tests/README.md").read_text().partition("## The manual")[2].partition("## ")[0]
    assert len(programs()) > 15
    assert [program for program in sorted(programs()) if f"`{program}" not in table] == []


@each_document
def test_every_link_leads_somewhere(file: Path) -> None:
    broken = []
    for link in manual.links(file.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        exists = target.exists() and target.is_relative_to(manual.ROOT)
        if not exists or (anchor and anchor not in manual.anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_every_file_that_the_manual_names_exists() -> None:
    pattern = re.compile(r"(?:config|service|tests|docs)/[\w./-]+\b(?:/|\b)")
    named = {name for text in PAGES.values() for name in pattern.findall(text) if not name.startswith("tests/browser")}
    assert {"config/nginx.conf", "config/registry.yml", "config/pushprune.yaml"} <= named
    assert [name for name in sorted(named) if not (manual.ROOT / name).exists()] == []


def test_every_policy_is_valid() -> None:
    policies = [values for _, values in manual.yaml_blocks() if "rules" in values]
    assert len(policies) == 6
    for values in policies:
        Policy.model_validate(values)


def test_the_page_on_the_policy_shows_every_key_of_the_language() -> None:
    (whole,) = (values for page, values in manual.yaml_blocks() if page == "policy.md" and "version" in values)
    (rule,) = whole["rules"]
    shown = [values.keys() for values in (whole, rule, rule["keep"])]
    assert shown == [model.model_fields.keys() for model in (Policy, Rule, Keep)]


def test_every_configuration_is_valid() -> None:
    tokens = {"read": "r" * 32, "admin": "a" * 32, "notify": "n" * 32}
    configurations = [values for _, values in manual.yaml_blocks() if values.keys() <= Settings.model_fields.keys()]
    assert len(configurations) == 9
    for values in configurations:
        if values.get("storage", {}).pop("secret_key_file", ""):
            values["storage"]["secret_key"] = "in no file here"
        # The certificates are no files here, and the password is in none.
        redis = values.get("redis", {})
        values["redis"] = {name: value for name, value in redis.items() if not name.endswith("_file")}
        for webhook in values.get("webhooks", ()):
            webhook.pop("secret_file", "")
            if webhook.pop("url_file", ""):
                webhook["url"] = "https://chat.example.com"
        assert load_settings(environ={}, tokens=tokens, **values)


def test_every_other_block_of_yaml_is_for_the_registry_a_proxy_compose_or_kustomize() -> None:
    known = {*Settings.model_fields, "rules"}
    others = [values for _, values in manual.yaml_blocks() if not known & values.keys()]
    firsts = [
        "http",
        "nginx.ingress.kubernetes.io/auth-url",
        "notifications",
        "patches",
        "secrets",
        "secrets",
        "services",
    ]
    assert sorted(min(values) for values in others) == firsts


def test_the_secret_of_a_webhook_reaches_the_workers_of_the_compose_file_which_read_it() -> None:
    (added,) = (values for page, values in manual.yaml_blocks() if page == "webhooks.md" and "services" in values)
    services = yaml.safe_load((manual.ROOT / "docker-compose.yml").read_text())["services"]
    readers = {name for name, service in services.items() if service.get("command", ())[:2] == ["pushprune", "worker"]}
    assert set(added["services"]) == readers
    assert all(service["secrets"] == list(added["secrets"]) for service in added["services"].values())


def test_the_workers_of_the_manual_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load((manual.ROOT / "docker-compose.yml").read_text())["services"].values()
    composed = [service.get("command", []) for service in services]
    shown = [shlex.split(line) for line in re.findall(r"^pushprune worker .+$", manual.page("install"), re.MULTILINE)]
    assert all(words in composed for words in shown)
    queues = [name for words in shown for name in words[words.index("--queues") + 1].split(",")]
    assert sorted(queues) == sorted(QUEUES.values())


def test_the_rights_in_redis_are_those_that_the_doctor_asks_for() -> None:
    assert f"redis-cli ACL SETUSER NAME on '>PASSWORD' {doctor_redis.RIGHTS}" in manual.page("production")


def test_anchors_are_those_of_github() -> None:
    assert manual.anchor("What a holder of `tokens.notify` can do") == "what-a-holder-of-tokensnotify-can-do"
    assert manual.anchor("API and /metrics") == "api-and-metrics"


# The words of the programs that the manual quotes. A sentence that changes there changes in the manual, too.
QUOTED = {
    "command-line": (
        "image is kept as", "delete?", "lists what can be restored", "restorable until that time or", "restored: ",
        "no policy deletes it before", "to keep it for good, name it under",
    ),
    "policy": (
        "could be deleted", "never pulled, as far as is known", "if nothing more is pushed or pulled", "not scheduled",
        "to be deleted", "protected by the policy", "would delete at", "pulled last", " pulled afterwards",
        "it would have deleted",
    ),
    "troubleshooting": (
        "evicts keys when its memory is full", "history gets lost", "is reachable and accepts the login", "fix: ",
        "has deletes disabled", "it reports deleted blobs as existing, which breaks pushes",
    ),
}  # fmt: skip


def source() -> str:
    """Our programs and what they show, with string literals that follow each other joined."""
    files = (path for suffix in ("py", "html") for path in (manual.ROOT / "service").rglob(f"*.{suffix}"))
    texts = (path.read_text(encoding="utf-8") for path in (*files, manual.ROOT / "config/nginx.conf"))
    return re.sub(r"""["']\s*[rf]?["']""", "", "".join(texts))


@pytest.mark.parametrize("name", QUOTED)
def test_transcripts_quote_the_words_of_the_programs(name: str) -> None:
    text, programs = manual.page(name), source()
    assert [words for words in QUOTED[name] if words not in text or words not in programs] == []


def test_every_sign_of_trouble_is_a_sentence_of_the_programs() -> None:
    signs = re.findall(r"^- \*\*(.+?)\*\*: ", manual.page("troubleshooting"), re.MULTILINE)
    fragments = [
        fragment.strip(" ,.")
        for sign in signs
        for quote in re.findall(r'"([^"]+)"', sign)
        for fragment in re.split(r"…|: ", quote)
    ]
    assert len(fragments) > 10
    programs = source()
    assert [fragment for fragment in fragments if fragment not in programs] == []
