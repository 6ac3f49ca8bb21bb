"""Policies over the real registry and real workers: moving tags, creation times, use, holds, a file that changes."""

import re
from pathlib import Path

import requests
import yaml

from tests.live.conftest import READ_TOKEN, Live, LiveSystem, last, wait_until


def at_rest(system: LiveSystem, tags: set[str]) -> None:
    wait_until(lambda: system.quiet() and system.tags("shop/api") == tags, "the end state is not exact")


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
        return str(requests.get(f"{system.web_url}/readyz", headers=bearer, timeout=60).json().get("policy"))

    wait_until(lambda: "did you mean last?" in said(), "no process says that the policy is invalid")
    repos = system.verb("repos")
    assert repos.returncode == 0, repos.stderr
    assert "did you mean last?" in repos.stderr
    assert "the previous policy stays in force" in repos.stderr
    system.pusher.push_image("shop/api", "v5")
    at_rest(system, {"v3", "v4", "v5"})
    file.write_text(yaml.safe_dump(last(1)))
    at_rest(system, {"v5"})
    wait_until(lambda: said() == "in force", "it is still called invalid")
    assert re.search("the policy file cannot be used", system.log("worker1"))
