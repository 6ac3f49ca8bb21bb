"""Assets of pages: all from this repository, and none of them inline."""

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.edge import Edge
from tests.web.pages.browser import Browser

FOLDER = Path(str(files("service.web").joinpath("static")))
OURS = {"docs.css", "pushprune.css", "pushprune.js", "pushprune.svg", "VENDORED.md"}


def test_every_vendored_file_is_the_one_of_its_package() -> None:
    rows = re.findall(r"^\| (\S+) \| .* \(`(\S+)`\) \| ([0-9a-f]{64}) \|$", (FOLDER / "VENDORED.md").read_text(), re.M)
    for name, licence, checksum in rows:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == checksum
        assert (FOLDER / licence).is_file()
    messages = {name for name, _, _ in rows} | {licence for _, licence, _ in rows}
    assert messages | OURS == {file.name for file in FOLDER.iterdir()}


def test_assets_are_kept_by_browsers_under_a_name_of_their_content(edge: Edge) -> None:
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', Browser(edge).text("/"))
    assert len(links) >= 4
    for link in links:
        response = edge.http.get(link)
        assert (response.status_code, "immutable" in response.headers["Cache-Control"]) == (200, True)
        assert re.search(r"\?v=[0-9a-f]{12}$", link)


@pytest.mark.parametrize("name", ["VENDORED.md", "LICENSE.htmx", "nothing.js", "..%2fapp.py", "%2e%2e"])
def test_nothing_else_is_an_asset(edge: Edge, name: str) -> None:
    assert edge.http.get(f"/static/{name}").status_code == 404


def test_all_that_a_page_needs_is_small(edge: Edge) -> None:
    page = Browser(edge).get("/")
    links = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    parts = [page.data, *(edge.http.get(link).data for link in links)]
    assert sum(len(gzip.compress(part)) for part in parts) < 60_000


def test_a_browser_that_was_told_of_no_icon_finds_one(edge: Edge) -> None:
    response = edge.http.get("/favicon.ico")
    assert (response.status_code, response.mimetype) == (200, "image/svg+xml")
    assert response.data == (FOLDER / "pushprune.svg").read_bytes()
