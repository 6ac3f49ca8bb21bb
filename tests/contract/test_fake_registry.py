"""Faults that tests plant in the fake registry work as described: a fault that never strikes would prove nothing."""

from typing import Any

import pytest

from service.domain.errors import RegistryUnavailable
from service.registry.client import RegistryClient
from tests.fakes.receiver import Receiver
from tests.fakes.registry import FakeRegistry


def test_a_push_in_the_middle_of_a_delete_loses_its_tag() -> None:
    """The pusher gets 201, the tag does not exist, and the manifest exists by its digest (service/README.md)."""
    with FakeRegistry() as fake:
        old = fake.push_image("shop/api", "v1", seed="old")
        fake.during_delete(lambda: fake.push_image("shop/api", "v1", seed="new"))
        client = RegistryClient(fake.url)
        assert client.delete("shop/api", old) is True
        assert fake.tags("shop/api") == {}
        assert client.head("shop/api", fake.events[-3]["target"]["digest"]) is not None


def test_hooks_run_before_and_after_a_request() -> None:
    with FakeRegistry() as fake:
        digest = fake.push_image("shop/api", "v1")
        seen: list[int] = []
        fake.before("DELETE", "shop/api", lambda: seen.append(len(fake.tags("shop/api"))))
        fake.after("DELETE", "shop/api", lambda: seen.append(len(fake.tags("shop/api"))))
        RegistryClient(fake.url).delete("shop/api", digest)
        assert seen == [1, 0]


def test_the_error_of_a_planted_call_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """The client sees only that the connection ended."""
    with FakeRegistry() as fake:
        fake.after("GET", "/v2/", lambda: [][0], times=None)
        with pytest.raises(RegistryUnavailable):
            RegistryClient(fake.url).ping()
    assert "IndexError" in capfd.readouterr().err


def test_a_fault_strikes_as_often_as_it_says_and_where_it_says() -> None:
    with FakeRegistry() as fake:
        fake.fail_next("GET", "tags/list", status=503, times=2)
        client = RegistryClient(fake.url)
        client.ping()
        for _ in range(2):
            with pytest.raises(RegistryUnavailable):
                client.tags("shop/api")
        assert client.tags("shop/api") == ()
        assert [request.status for request in fake.requests] == [200, 503, 503, 404]


def test_a_push_from_a_test_is_reported_like_any_other() -> None:
    messages: list[dict[str, Any]] = []
    with FakeRegistry("3", notify=messages.append) as fake:
        digest = fake.push_index("shop/api", "v1")
        last = messages[-1]["events"][0]
        assert last["action"] == "push"
        assert last["target"] == {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest,
            "size": len(fake.manifests("shop/api")[digest].content),
            "length": len(fake.manifests("shop/api")[digest].content),
            "repository": "shop/api",
            "url": f"{fake.url}/v2/shop/api/manifests/{digest}",
            "tag": "v1",
        }


def test_notifications_are_retried_in_order_until_taken() -> None:
    answers = iter([503, 401])
    with (
        Receiver(lambda _: next(answers, 202)) as heard,
        FakeRegistry(notify_url=heard.url, notify_token="t0ken") as fake,
    ):
        fake.push_image("shop/api", "v1")
        fake.push_image("shop/api", "v2")
        fake.wait_delivered()
        assert heard.events == fake.events
        assert heard.headers[0]["Authorization"] == "Bearer t0ken"
        assert heard.headers[0]["Content-Type"] == "application/vnd.docker.distribution.events.v1+json"


def test_a_collection_sweeps_what_nothing_references() -> None:
    with FakeRegistry() as fake:
        digest = fake.push_image("shop/api", "v1")
        assert fake.collect() == ()
        RegistryClient(fake.url).delete("shop/api", digest)
        assert len(fake.collect()) == 2
