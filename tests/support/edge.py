"""Makers for the HTTP edge: the application over a Redis in memory, and the messages it would have sent."""

import base64
import dataclasses
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import fakeredis
import pytest
import redis
from flask.testing import FlaskClient
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from service.clock import now_us
from service.domain.events import parse
from service.domain.policy.model import Policy
from service.prune import deleting, planning
from service.settings import load_settings
from service.store import Store
from service.web.app import create_app
from service.wiring import Wiring, wire
from tests.conftest import MakeWiring, Messages, keep_last, messages_of
from tests.fakes.registry import FakeRegistry
from tests.support.makers import V2_ENVELOPE, envelope, understood


@dataclass(frozen=True)
class Edge:
    """The HTTP edge: a client of it, and its wiring."""

    http: FlaskClient
    wiring: Wiring

    @property
    def sent(self) -> list[tuple[str, ...]]:
        """The messages to workers."""
        return messages_of(self.wiring).sent

    @property
    def redis(self) -> Any:
        return self.wiring.store.connection.client

    def heard(self, *events: Any) -> None:
        """Record events as if the registry had posted them."""
        self.wiring.store.history.record(understood(*events))

    def tags(self, repository: str = "shop/api") -> list[str]:
        """The recorded tags, oldest first."""
        return list(self.redis.zrange(self.wiring.store.connection.keys.of("tags", repository), 0, -1))

    @property
    def planned(self) -> list[str]:
        """The repositories that notifications asked the workers to plan, in that order."""
        messages = reversed(self.redis.lrange(self.store.connection.keys.of("enforce"), 0, -1))
        return [json.loads(base64.b64decode(json.loads(message)["body"]))[0][0] for message in messages]

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


ServeEdge = Callable[..., Edge]


def post(edge: Edge, *events: Any, content_type: str = V2_ENVELOPE, token: str | None = None) -> TestResponse:
    return send(edge, envelope(*events), content_type, {"Authorization": f"Bearer {token}"} if token else {})


def send(
    edge: Edge, body: bytes, content_type: str = V2_ENVELOPE, headers: dict[str, str] | None = None
) -> TestResponse:
    return edge.http.post("/notifications", data=body, content_type=content_type, headers=headers)


def answer(recorded: int, duplicates: int = 0, rejected: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"recorded": recorded, "duplicates": duplicates, "rejected": list(rejected)}


# The attributes that `Rule.compile` of werkzeug sets.
_COMPILED = ("_parts", "_trace", "_converters", "arguments", "_build", "_build_unknown")


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Compile routes once for all applications, because nearly every test of the edge builds one."""
    compile_rule = Rule.compile
    compiled: dict[tuple[str, bool], dict[str, Any]] = {}

    def compile_once(rule: Rule) -> None:
        if rule.defaults or rule.subdomain or rule.host:
            return compile_rule(rule)
        key = (rule.rule, bool(rule.merge_slashes))
        if key not in compiled:
            compile_rule(rule)
            compiled[key] = {name: getattr(rule, name) for name in _COMPILED}
        for name, value in compiled[key].items():
            # `_build` and `_build_unknown` are methods, which must be bound to this rule.
            setattr(rule, name, MethodType(value.__func__, rule) if isinstance(value, MethodType) else value)
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
        yield


@pytest.fixture
def redis_server() -> fakeredis.FakeServer:
    """A Redis in memory. It does not answer while its `connected` is False."""
    return fakeredis.FakeServer()


@pytest.fixture
def serve(redis_server: fakeredis.FakeServer) -> ServeEdge:
    """The function that builds the edge: serve(tokens={"notify": "s3cret"}); client: another Redis."""

    def build(client: redis.Redis | None = None, **overrides: Any) -> Edge:
        settings = load_settings(environ={}, redis={"url": "redis://nowhere.invalid"}, **overrides)
        memory = fakeredis.FakeRedis(server=redis_server, decode_responses=True)
        wiring = dataclasses.replace(wire(settings, client=client or memory, patient=True), dispatch=Messages())
        return Edge(create_app(wiring).test_client(), wiring)

    return build


@pytest.fixture
def edge(serve: ServeEdge) -> Edge:
    """The edge as it comes: no tokens, no policy."""
    return serve()


@pytest.fixture
def serve_over_valkey(make_wiring: MakeWiring) -> ServeEdge:
    """The function that builds the edge over a real server, which also answers INFO: serve_over_valkey(policy=…)."""

    def build(policy: Policy | None = None, **settings: Any) -> Edge:
        wiring = make_wiring(policy=policy, **settings)
        return Edge(create_app(wiring).test_client(), wiring)

    return build


@pytest.fixture
def no_redis() -> Iterator[redis.Redis]:
    """A client of a port where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield redis.Redis(host="127.0.0.1", port=held.getsockname()[1], retry=Retry(NoBackoff(), 0))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def pruned(serve_over_valkey: ServeEdge, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """v1 has been deleted from shop/api for v2."""
    edge = serve_over_valkey(policy=keep_last(1), registry_url=registry.url)
    monkeypatch.setattr("service.reconcile.compare.YOUNG_S", 0.0)
    for tag in ("v1", "v2"):
        registry.push_image("shop/api", tag)
    edge.store.history.record(parse(json.dumps({"events": registry.events}).encode(), now_us()))
    planning.enforce(edge.wiring, "shop/api")
    deleting.delete(edge.wiring, "shop/api")
    assert registry.tags("shop/api").keys() == {"v2"}
    edge.sent.clear()
    return edge
