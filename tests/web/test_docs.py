"""/openapi.json and /docs: they say all there is, to anybody, and fetch nothing from elsewhere."""

import re
from typing import Any

import pytest

from service.web import app
from service.web.app import create_app
from service.web.description import described
from tests.support import manual
from tests.support.edge import Edge, ServeEdge


def document(edge: Edge) -> dict[str, Any]:
    response = edge.http.get("/openapi.json")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert isinstance(response.json, dict)
    return response.json


def operations(edge: Edge) -> dict[tuple[str, str], dict[str, Any]]:
    result = document(edge)["paths"].items()
    return {(method.upper(), path): operation for path, methods in result for method, operation in methods.items()}


def test_the_document_lists_every_route_but_the_pages_for_people(edge: Edge) -> None:
    every = {
        (method, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in create_app(edge.wiring).url_map.iter_rules()
        if not rule.endpoint.startswith(("pages.", "assets."))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    # Not a route of Flask's, see service/web/notifications.py.
    every.add(("POST", "/notifications"))
    assert len(every) >= 29
    assert set(operations(edge)) == every


def test_the_document_is_written_once_and_only_when_requested(
    serve: ServeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, Any]] = []

    def write(bare: dict[str, Any]) -> dict[str, Any]:
        written.append(bare)
        return described(bare)

    monkeypatch.setattr(app, "described", write)
    edge = serve()
    edge.http.get("/livez")
    assert not written
    document(edge)
    assert edge.http.get("/docs").status_code == 200
    assert len(written) == 1


def test_every_operation_says_what_it_answers_and_refuses(edge: Edge) -> None:
    for (method, path), operation in operations(edge).items():
        assert operation["summary"]
        if not path.startswith("/api/"):
            continue
        assert operation["security"] == [{"token": []}]
        assert ("304" in operation["responses"]) == (method == "GET")
        assert {"200", "401", "403", "422", "503"} <= operation["responses"].keys()
        messages = {status: answer for status, answer in operation["responses"].items() if status != "304"}
        for status, answer in messages.items():
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(answer["content"]) == [kind]


def test_every_field_is_described(edge: Edge) -> None:
    schemas = document(edge)["components"]["schemas"]
    fields = {f"{name}.{key}": field for name, of in schemas.items() for key, field in of.get("properties", {}).items()}
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_every_reference_leads_somewhere(edge: Edge) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", edge.http.get("/openapi.json").text))
    assert named <= document(edge)["components"]["schemas"].keys()


def test_the_page_shows_every_route_and_fetches_nothing(edge: Edge) -> None:
    response = edge.http.get("/docs")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"""(src|href)=["'](https?:)?//|<script>|@import|url\(""", response.text)
    shown = re.findall(r'class="method \w+">(\w+)</code> <code>([^<]+)<', response.text)
    assert sorted(shown) == sorted(operations(edge))


def test_neither_needs_a_token(serve: ServeEdge) -> None:
    edge = serve(tokens={"read": "read-s3cret"})
    assert edge.http.get("/docs").status_code == 200
    assert edge.http.get("/openapi.json").status_code == 200
    assert "s3cret" not in edge.http.get("/docs").text


def test_every_operation_of_the_api_is_in_the_manual(edge: Edge) -> None:
    tables = manual.page("api").partition("## Operations")[2].partition("```sh")[0]
    named = set()
    for method, table in re.findall(r"^\| `(GET|POST)` \| \|\n(.+?)\n\n", tables, re.DOTALL | re.MULTILINE):
        for row in table.splitlines():
            paths = re.findall(r"`(/[^`?]+)", row.split("|")[1])
            named |= {(method, f"/api/v1{path}") for path in paths}
    named |= {("DELETE", f"/api/v1{path}") for path in re.findall(r"`DELETE (/[^`]+)`", tables)}
    every = {
        (method, path.replace("{repository}", "shop/api").replace("{tag}", "v7"))
        for method, path in operations(edge)
        if path.startswith("/api/v1")
    }
    assert named == every
