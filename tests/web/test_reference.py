"""The API reference page: an example of every operation that works, types with links, success before errors."""

import gzip
import html
import re
import shlex
from urllib.parse import urlsplit

import pytest

from service.domain.collection.run import Run
from tests.conftest import keep_last
from tests.fakes.registry import FakeRegistry
from tests.support.api_requests import CHANGES
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event

TOKENS = {"READ": "r" * 32, "ADMIN": "a" * 32}
# Nothing was deleted from the registry of this test, and it makes no online collections.
REFUSED = {"restore_images": 409, "undelete": 409}


def examples(edge: Edge) -> dict[str, str]:
    """The curl command of each operation on the page."""
    articles = re.findall(r'<article id="([^"]+)">(.*?)</article>', edge.http.get("/docs").text, re.DOTALL)
    commands = {name: re.search(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL) for name, text in articles}
    return {name: html.unescape(command[1]) for name, command in commands.items() if command}


def sent(edge: Edge, command: str) -> int:
    """Send a curl command of the page, and return the status of the answer."""
    program, *words = shlex.split(command)
    assert program == "curl"
    options: dict[str, list[str]] = {}
    while len(words) > 1:
        options.setdefault(words.pop(0), []).append(words.pop(0))
    headers = {}
    for line in options.get("-H", ()):
        name, value = line.split(": ")
        for variable, token in TOKENS.items():
            value = value.replace(f"${variable}", token)
        headers[name] = value
    body = options.get("-d", [""])[0]
    method = options.get("-X", ["POST" if body else "GET"])[0]
    address = urlsplit(words[0])
    assert f"{address.scheme}://{address.netloc}" == "http://localhost"
    return edge.http.open(
        f"{address.path}?{address.query}", method=method, headers=headers, data=body or None
    ).status_code


@pytest.mark.slow
def test_every_example_works_as_it_stands(serve_over_valkey: ServeEdge, registry: FakeRegistry) -> None:
    tokens = {name.lower(): token for name, token in TOKENS.items()}
    edge = serve_over_valkey(
        policy=keep_last(2, hold_over=10, hold_min=1),
        tokens=tokens,
        registry={"url": registry.url},
        gc={"command": "true"},
    )
    edge.store.collection_runs.record(Run(7, 8, "done", "scheduled"))
    edge.store.collection_runs.keep_log(7, gzip.compress(b"ended"))
    commands = examples(edge)
    assert len(commands) >= 28
    assert "-X DELETE" in commands["cancel_collection"]
    statuses = {}
    for pushes, (name, command) in enumerate(commands.items(), 8):
        # One more tag each time makes a new plan, which is not decided yet.
        edge.heard(*(event(tag=f"v{number}", at=number) for number in range(1, pushes)))
        history = edge.store.history
        history.commit(history.snapshot("shop/api"), edge.wiring.verdicts.plan("shop/api"), "held")
        edge.store.collections.request_if_none("scheduled")
        statuses[name] = sent(edge, command)
    assert {name: status for name, status in statuses.items() if status != 200} == REFUSED


def test_the_document_names_the_token_of_every_operation(edge: Edge) -> None:
    document = edge.http.get("/openapi.json").json or {}
    admin = {
        (method.upper(), path.replace("{repository}", "shop/api"))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["x-right"] == "admin"
    }
    assert admin == set(CHANGES)
    assert document["servers"] == [{"url": "./"}]


def test_types_lead_to_their_objects_and_success_comes_first(edge: Edge) -> None:
    page = edge.http.get("/docs").text
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    tags = page.partition('<article id="tags">')[2].partition("</article>")[0]
    assert tags.index(">200<") < tags.index("401 Unauthorized")
    for text in ('<a href="#Tags">Tags</a>', "Default: <code>100</code>", "<code>-pushed</code>", "integer"):
        assert text in tags
    assert '<td data-name="Type">time or null</td>' in page
    assert "`" not in page


def test_a_browser_at_an_unknown_address_gets_a_page_and_a_program_a_problem(edge: Edge) -> None:
    browser = edge.http.get("/repositorys", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.mimetype) == (404, "text/html")
    assert 'href="/repositories"' in browser.text
    assert "default-src 'none'" in browser.headers["Content-Security-Policy"]
    program = edge.http.get("/repositorys", headers={"Accept": "*/*"})
    assert (program.status_code, program.mimetype) == (404, "application/problem+json")


def test_an_unknown_operation_is_named_with_the_place_that_lists_all(edge: Edge) -> None:
    wrong_path = edge.http.delete("/api/v1/repositories/shop/api/tags/main").json or {}
    assert wrong_path["detail"] == (
        "DELETE /api/v1/repositories/shop/api/tags/main does not exist. GET /docs lists every operation."
    )
    wrong_method = edge.http.patch("/api/v1/collections").json or {}
    assert wrong_method["detail"] == (
        "PATCH /api/v1/collections does not exist; this path has DELETE, GET, POST. GET /docs lists every operation."
    )
