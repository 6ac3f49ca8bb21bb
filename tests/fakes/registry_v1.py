"""An in-process registry of version 1 (docker-registry 0.9, standalone) over real HTTP: its routes and answers."""

import base64
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, unquote

from tests.fakes.serving import Serving

VERSION = "0.9.1"

_HTML = '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>{0} {1}</title>\n<h1>{1}</h1>\n'
_TAGS = re.compile(r"/v1/repositories/(.+)/tags")
_TAG = re.compile(r"/v1/repositories/(.+)/tags/([^/]+)")
_TAG_JSON = re.compile(r"/v1/repositories/(.+)/tags/([^/]+)/json")


class FakeRegistryV1(Serving):
    """A registry on 127.0.0.1 and a free port, from `with` until its end.

    repositories: (namespace, name) → tag → image id; an emptied one stays, as its list of images does. login: user and
    password that a proxy before it asks for. speaks_v2: something in front of it answers for version 2 as well.
    """

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        self.login = login
        self.speaks_v2 = False
        self.repositories: dict[tuple[str, str], dict[str, str]] = {}
        self.images: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.after_delete: Callable[[], object] = lambda: None
        self.lock = Lock()
        self.serve(_Server(self))

    def push(self, repository: str, **tags: str) -> None:
        """Store tags, each with the image of this id."""
        self.images.update(tags.values())
        self.repositories.setdefault(split(repository), {}).update(tags)

    def tags(self, repository: str) -> dict[str, str]:
        return dict(self.repositories.get(split(repository), {}))


def split(repository: str) -> tuple[str, str]:
    """(namespace, name): one without a slash lies in library."""
    namespace, slash, name = repository.rstrip("/").partition("/")
    return (namespace, quote_plus(name)) if slash else ("library", namespace)


class _Server(ThreadingHTTPServer):
    def __init__(self, fake: FakeRegistryV1) -> None:
        self.fake = fake
        super().__init__(("127.0.0.1", 0), _Exchange)


class _Exchange(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        fake, content = self.server.fake, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(self.path.partition("?")[0])
        fake.requests.append((self.command, path))
        if fake.login and self.headers.get("Authorization") != _basic(*fake.login):
            self._page(401, "Authorization Required", {"WWW-Authenticate": 'Basic realm="registry"'})
            return
        with fake.lock:
            self._route(path, content)

    do_PUT = do_DELETE = do_HEAD = do_POST = do_GET

    def _route(self, path: str, content: bytes) -> None:
        if path == "/" and self.command == "GET":
            self._answer(200, "docker-registry server")
        elif path == "/v2/" and self.server.fake.speaks_v2:
            self._answer(200, {})
        elif path in ("/_ping", "/v1/_ping") and self.command == "GET":
            self._answer(200, {}, {"X-Docker-Registry-Standalone": "True"})
        elif _TAG_JSON.fullmatch(path) and self.command == "GET":
            self._answer(200, {"last_update": None, "docker_version": None, "arch": "amd64", "os": "linux"})
        elif result := _TAG.fullmatch(path):
            self._tag(split(result[1]), result[2], content)
        elif result := _TAGS.fullmatch(path):
            self._tags(split(result[1]))
        else:
            self._page(404, "Not Found")

    def _tags(self, repository: tuple[str, str]) -> None:
        tags = self.server.fake.repositories.get(repository)
        if self.command not in ("GET", "DELETE"):
            self._page(405, "Method Not Allowed")
        elif tags is None:
            self._answer(404, {"error": "Repository not found"})
        elif self.command == "GET":
            self._answer(200, tags)
        else:
            del self.server.fake.repositories[repository]
            self._answer(200, True)

    def _tag(self, repository: tuple[str, str], tag: str, content: bytes) -> None:
        tags = self.server.fake.repositories.get(repository, {})
        if self.command == "PUT":
            self._put(repository, tag, content)
        elif self.command not in ("GET", "DELETE"):
            self._page(405, "Method Not Allowed")
        elif tag not in tags:
            self._answer(404, {"error": "Tag not found" if self.command == "GET" else f"Tag not found: {tag}"})
        elif self.command == "GET":
            self._answer(200, tags[tag])
        else:
            del tags[tag]
            self.server.fake.after_delete()
            self._answer(200, True)

    def _put(self, repository: tuple[str, str], tag: str, content: bytes) -> None:
        try:
            image = json.loads(content)
        except ValueError:
            image = None
        if not image or not isinstance(image, str):
            self._answer(400, {"error": "Invalid data"})
        elif image not in self.server.fake.images:
            self._answer(404, {"error": "Image not found"})
        else:
            self.server.fake.repositories.setdefault(repository, {})[tag] = image
            self._answer(200, True)

    def _page(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, _HTML.format(status, sentence).encode(), {"Content-Type": "text/html", **(headers or {})})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        message = {
            "Content-Type": "application/json",
            "Cache-Control": "no-cache",
            "Expires": "-1",
            "Pragma": "no-cache",
        }
        self._send(status, json.dumps(body, sort_keys=True).encode(), {**message, **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        of_it = {"X-Docker-Registry-Version": VERSION, "X-Docker-Registry-Config": "dev"}
        for name, value in {**headers, **of_it, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
