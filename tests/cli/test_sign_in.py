"""`pushprune sign-in`: a link to the dashboard, at the address that the browser reaches."""

import pytest

from tests.conftest import MakeWiring
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture


def test_sign_in_prints_one_link_and_nothing_else(
    run: Run, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("READ", "ADMIN"):
        monkeypatch.setenv(f"PUSHPRUNE_TOKENS__{name}", f"{name}-0123456789abcdef")
    monkeypatch.setenv("PUSHPRUNE_LISTEN", "0.0.0.0:8123")
    links = make_wiring().store.sign_in_links
    for arguments, address in (
        ((), "http://127.0.0.1:8123/login/"),
        (("--web", "https://example.com/pushprune/"), "https://example.com/pushprune/login/"),
    ):
        code, output, _ = run("sign-in", *arguments)
        assert (code, output.count("\n"), output.startswith(address)) == (0, 1, True)
        assert links.use(output.strip().removeprefix(address))
    assert run("sign-in", "--web", "example.com")[0] == 2
