"""Policies over the real registry and real workers: moving tags, creation times, use, holds, a file that changes."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.fakes.images import make_image, make_index
from tests.live.conftest import READ_TOKEN, LiveSystem, last, wait_until
from tests.support.journeys import oci_layout

pytestmark = pytest.mark.live
Live = Callable[..., LiveSystem]
FREE = {"hold_over": "100%", "hold_min": 100_000}


def answers(system: LiveSystem, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHPRUNE_")}
    environment |= {"PUSHPRUNE_CONFIG": str(system.config), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from service.cli.main import main; main()", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def at_rest(system: LiveSystem, tags: set[str]) -> None:
    wait_until(lambda: system.quiet() and system.tags("shop/api") == tags, "the end state is not exact")


def test_what_a_moving_multi_arch_tag_left_behind_goes_and_what_stands_can_be_pulled(live: Live) -> None:
    system = live(policy={**FREE, "rules": [{"name": "moving", "keep": {"revisions": 1}, "untagged": "0s"}]})
    system.start_worker()
    digests = [system.pusher.push("shop/api", "latest", make_index(number)) for number in range(4)]
    gone = [*digests[:2], *(child.digest for number in (0, 1) for child in make_index(number).children)]

    def left() -> set[str]:
        return {digest for digest in gone if system.pusher.digest_of("shop/api", digest)}

    wait_until(lambda: not left(), "what nobody holds is still there")
    at_rest(system, {"latest"})
    for digest in digests[2:]:
        assert system.pusher.pull_whole("shop/api", digest) == digest
    reasons = {e.reason for e in system.wiring.history.entries("shop/api") if e.action == "pruned"}
    followed = {f"the index {digest} is gone" for digest in digests[:2]}
    assert reasons == {"untagged for 0s or more (rule moving)", *followed}


def test_by_creation_the_images_made_last_are_kept_whenever_they_were_pushed(live: Live) -> None:
    rule = {"name": "made", "order": "created", "keep": {"last": 2}}
    system = live(policy={**FREE, "rules": [rule]})
    system.start_worker()
    for day in (5, 1, 9, 3):
        made = datetime(2026, 1, day, tzinfo=UTC)
        system.pusher.push("shop/api", f"made-{day}", make_image(day, created=made))
    at_rest(system, {"made-5", "made-9"})


def test_pulls_by_whom_the_policy_ignores_are_no_use(live: Live, tmp_path: Path) -> None:
    rule = {"name": "used", "keep": {"last_pulled": 1}}
    system = live(policy={**FREE, "ignore_pulls": ["skopeo/*"], "rules": [rule]}, storage={})
    for name in ("used", "scanned"):
        system.skopeo_push("shop/api", name, source=oci_layout(tmp_path / name, make_image(name)))
    system.pusher.pull_whole("shop/api", "used")
    host = system.registry.url.removeprefix("http://")
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]
    subprocess.run([*command, f"docker://{host}/shop/api:scanned", f"dir:{tmp_path}/pulled"], check=True)
    client: Any = system.wiring.connection.client
    wait_until(lambda: client.xlen(system.wiring.connection.keys.of("pulls")) >= 2, "the pulls were not heard")
    system.start_worker()
    at_rest(system, {"used"})
    assert system.wiring.verdicts.explain("shop/api")[0].verdict.reason == "number 1 of the 1 pulled last (rule used)"


def test_a_held_plan_waits_through_pushes_and_goes_on_when_approved(live: Live) -> None:
    system = live(policy=last(10))
    system.start_worker()
    names = [f"v{number}" for number in range(10)]
    for name in names:
        system.pusher.push_image("shop/api", name)
    wait_until(lambda: system.heard("shop/api", set(names)) and system.quiet(), "the pushes were not heard")
    strict = {**last(2), "hold_over": "50%", "hold_min": 2}
    system.config.write_text(yaml.safe_dump({**yaml.safe_load(system.config.read_text()), "policy": strict}))
    (hold,) = wait_until(system.wiring.rulings.holds, "the plan was not held")
    system.pusher.push_image("shop/api", "v10")
    wait_until(lambda: "9 of 11" in system.wiring.rulings.holds()[0].reason, "the push was not planned")
    assert system.wiring.rulings.holds()[0].at_us == hold.at_us, "it has been waiting since the first plan"
    assert system.tags("shop/api") == {*names, "v10"}
    assert "9 of 11 tags" in answers(system, "prune", "--held")[1]
    assert answers(system, "prune", "--approve", "shop/api", "--yes")[:2] == (0, "approved: 9 images\n")
    at_rest(system, {"v9", "v10"})
    assert system.wiring.rulings.holds() == ()


def test_a_changed_policy_file_is_taken_up_and_an_invalid_one_leaves_the_old_in_force(
    live: Live, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(last(3)))
    system = live(policy=str(file))
    system.start_worker()
    for number in range(5):
        system.pusher.push_image("shop/api", f"v{number}")
    at_rest(system, {"v2", "v3", "v4"})
    file.write_text("rules: [{keep: {lst: 1}}]")

    def said() -> str:
        bearer = {"Authorization": f"Bearer {READ_TOKEN}"}
        return str(requests.get(f"{system.web_url}/readyz", headers=bearer, timeout=5).json()["policy"])

    wait_until(lambda: "did you mean last?" in said(), "nobody says that the policy is invalid")
    code, _, error = answers(system, "repos")
    assert (code, "did you mean last?" in error, "the previous policy stays in force" in error) == (0, True, True)
    system.pusher.push_image("shop/api", "v5")
    at_rest(system, {"v3", "v4", "v5"})
    file.write_text(yaml.safe_dump(last(1)))
    at_rest(system, {"v5"})
    assert said() == "in force"
    assert re.search("the policy cannot be obeyed", system.log("worker1"))
