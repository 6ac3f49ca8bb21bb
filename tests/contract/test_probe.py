"""The doctor's probe: its findings from a registry's own answers, and its leftovers."""

import pytest

from service.domain.errors import DeletesDisabled
from service.registry.exchange import agent_with
from service.registry.probe import Probe
from tests.contract.conftest import Site, Sites

REPOSITORY = "pushprune/doctor"
NAME = "0123456789abcdef"


def test_a_registry_without_a_cache_is_told_as_often_as_it_is_asked(site: Site) -> None:
    probe = Probe(site.url, NAME)
    assert [probe.caches_descriptors(REPOSITORY) for _ in range(3)] == [False] * 3


def test_without_deletes_it_is_told_all_the_same(sites: Sites) -> None:
    probe = Probe(sites.open(delete_enabled=False).url, NAME)
    assert [probe.caches_descriptors(REPOSITORY) for _ in range(2)] == [False] * 2


def test_deletes_are_tried_without_deleting_anything(sites: Sites) -> None:
    Probe(sites.open().url, NAME).try_delete(REPOSITORY)
    with pytest.raises(DeletesDisabled):
        Probe(sites.open(delete_enabled=False).url, NAME).try_delete(REPOSITORY)


def test_the_probe_is_heard_under_its_name_and_leaves_no_tag_and_no_manifest(site: Site) -> None:
    probe = Probe(site.url, NAME, word=lambda: "w0rd")
    for _ in range(2):
        probe.push(REPOSITORY)
        probe.remove(REPOSITORY)
    assert site.client.tags(REPOSITORY) == ()
    agents = {event["request"]["useragent"] for event in site.events_until_marker()}
    assert agents == {agent_with("w0rd", NAME)}
    (manifest,) = {
        event["target"]["digest"]
        for event in site.events_until_marker()
        if event["action"] == "push" and "manifest" in event["target"]["mediaType"]
    }
    assert site.client.get(REPOSITORY, manifest) is None


def test_the_clock_of_the_registry_is_read(site: Site) -> None:
    dated = Probe(site.url, NAME).date()
    assert dated is not None
    assert dated.before_s - 1 <= dated.clock_s <= dated.after_s
