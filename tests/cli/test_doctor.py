"""`pushprune doctor` shows each problem with the line that fixes it; the exit code says if one is an error."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from service import doctor
from service.cli.user import login_name
from service.doctor import Case
from service.domain.errors import RegistryRefused, RegistryUnavailable, StoreUnavailable
from service.domain.finding import Finding, error, fine, skipped, warning
from tests.cli.conftest import Call
from tests.conftest import MakeWiring
from tests.fakes.valkey import free_port
from tests.support.verbs import configure

Run = Callable[..., tuple[int, str, str]]
Plant = Callable[..., None]


@pytest.fixture
def run(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch, call: Call) -> Run:
    configure(monkeypatch, make_wiring())
    return partial(call, "doctor")


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """plant(*findings or errors): the only check finds these."""

    def install(*result: Finding | Exception) -> None:
        def check(case: Case) -> tuple[Finding, ...]:
            for item in result:
                if isinstance(item, Exception):
                    raise item
            return tuple(item for item in result if isinstance(item, Finding))

        monkeypatch.setattr(doctor, "CHECKS", {"thing": check, "other": lambda case: (fine("other", "all well"),)})

    return install


def test_the_dashboard_shows_the_findings_of_the_command_line(run: Run, plant: Plant, make_wiring: MakeWiring) -> None:
    plant(error("thing", "http://alice:pa55@registry is broken", "fix it"))
    run()
    report = make_wiring().store.doctor_reports.last()
    assert report is not None
    assert [finding.message for finding in report.findings] == ["http://********@registry is broken", "all well"]
    assert report.by == login_name()


def test_each_problem_is_shown_with_the_line_that_fixes_it(run: Run, plant: Plant) -> None:
    plant(error("thing", "it is broken", "fix it"))
    code, output, progress = run()
    assert code == 1
    assert [line.split() for line in output.splitlines()] == [
        ["error", "thing", "it", "is", "broken"], ["fix:", "fix", "it"], ["ok", "other", "all", "well"],
    ]  # fmt: skip
    assert progress == ""


def test_checks_that_could_not_be_made_are_one_line_for_each_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(case: Case) -> tuple[Finding, ...]:
        raise RegistryUnavailable("the registry is away")

    def check_workers(case: Case) -> tuple[Finding, ...]:
        raise StoreUnavailable("Redis is away")

    checks = {
        "deletes": check,
        "workers": check_workers,
        "cache": check,
        "policy": lambda case: (fine("policy", "ok"),),
    }
    monkeypatch.setattr(doctor, "CHECKS", checks)
    code, output, _ = run()
    assert code == 0
    shown = [" ".join(line.split()) for line in output.splitlines()]
    assert shown == [
        "ok policy ok",
        "warning not checked deletes, cache: the registry is away",
        "fix: pushprune doctor # once that is fixed",
        "warning not checked workers: Redis is away",
        "fix: pushprune doctor # once that is fixed",
    ]


def test_a_warning_is_no_failure(run: Run, plant: Plant) -> None:
    plant(warning("thing", "it could be better", "better it"))
    assert run()[0] == 0


def test_a_check_that_does_not_apply_is_skipped(run: Run, plant: Plant) -> None:
    plant(skipped("thing", "nobody uses it"))
    assert run()[1].splitlines()[0].split() == ["skipped", "thing", "nobody", "uses", "it"]
    assert json.loads(run("--json")[1])["severity"] == "ok"


def test_programs_get_json(run: Run, plant: Plant) -> None:
    plant(warning("thing", "it could be better", "better it"))
    code, output, _ = run("--json")
    assert code == 0
    assert json.loads(output) == {
        "severity": "warning",
        "findings": [
            {"name": "thing", "severity": "warning", "message": "it could be better", "fix": "better it"},
            {"name": "other", "severity": "ok", "message": "all well", "fix": ""},
        ],
    }


@pytest.mark.parametrize(
    ("raised", "severity", "sentence"),
    [
        (StoreUnavailable("Redis does not answer"), "warning", "not checked: Redis does not answer"),
        (RegistryUnavailable("the registry is away"), "warning", "not checked: the registry is away"),
        (RegistryRefused("it says no"), "error", "it says no"),
        (KeyError("a fault"), "error", "the check failed: unexpected KeyError: 'a fault'"),
    ],
)
def test_a_check_that_fails_is_a_finding_and_keeps_no_other_away(
    run: Run, plant: Plant, raised: Exception, severity: str, sentence: str
) -> None:
    plant(raised)
    _, output, _ = run("--json")
    first, second = json.loads(output)["findings"]
    assert (first["severity"], first["message"], second["severity"]) == (severity, sentence, "ok")
    assert first["fix"]


def test_a_line_that_mends_is_one_line_whatever_it_holds() -> None:
    assert error("a", "b", "one\ntwo").fix == "one two"


def test_without_redis_it_still_says_so_and_looks_at_the_rest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", f"redis://127.0.0.1:{free_port()}/0")
    code, output, _ = run("--json")
    findings = {finding["name"]: finding for finding in json.loads(output)["findings"]}
    assert code == 1
    assert findings["redis"]["severity"] == "error"
    assert findings["workers"]["message"].startswith("not checked: Redis does not answer")
    assert findings["registry"]["severity"] == "error"
    assert findings["policy"]["severity"] == "warning"


@pytest.mark.parametrize(
    "options", [("--probe-repository", "No Such"), ("--front", "registry:5000"), ("--web", "ftp://x"), ("--wait", "0")]
)
def test_options_that_contradict_each_other_are_wrong_usage(run: Run, options: tuple[str, ...]) -> None:
    assert run(*options)[0] == 2


def test_every_problem_has_a_line_that_fixes_it(run: Run) -> None:
    """A system with as few settings as possible."""
    _, output, _ = run("--json", "--wait", "1")
    for finding in json.loads(output)["findings"]:
        assert bool(finding["fix"]) == (finding["severity"] not in ("ok", "skipped")), finding
        assert "\n" not in finding["fix"] + finding["message"]
