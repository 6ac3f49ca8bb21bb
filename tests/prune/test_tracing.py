"""The trace of a push: its notification, the plan that answers it, the deletions, and the collection after them."""

from pathlib import Path

from service import tracing
from service.collect import run as collect_run
from service.domain.collection.run import MANUAL
from service.prune import deleting, planning
from tests.conftest import MakeWiring, keep_last
from tests.support.collectors import QUIET, collector
from tests.support.system import SHOP, Make
from tests.support.traces import Traces, attributes, ids, pair, traces

__all__ = ["traces"]


def test_the_trace_of_a_push_shows_plan_recheck_and_deletion_in_order(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    system.settle()
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    push = traces.named("push")[-1]
    spans = [span for span in traces.all() if ids(span)[0] == ids(push)[0]]
    # The first plan compares the repository with the registry, and is made again.
    steps = [
        span
        for span in spans
        if span.name not in ("GET", "HEAD") and attributes(span).get("pushprune.settled") is not False
    ]
    assert [span.name for span in steps] == ["push", "plan", "delete", "delete image", "recheck", "DELETE"]
    _, plan, delete, image, *_ = steps
    assert [pair(span.parent) for span in steps[1:]] == [ids(step) for step in (push, plan, delete, image, image)]


def test_spans_say_what_they_are_about_in_the_words_of_the_conventions(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    system.settle()
    digest = system.registry.tags(SHOP)["v1"]
    system.push("v2")
    system.settle()
    push, plan = traces.named("push")[-1], traces.named("plan")[-1]
    assert attributes(push)["container.image.name"] == SHOP
    assert attributes(push)["container.image.tags"] == ("v2",)
    assert (attributes(plan)["pushprune.result"], attributes(plan)["pushprune.deletions"]) == ("doomed", 1)
    (image,) = traces.named("delete image")
    assert attributes(image) == {
        "container.image.tags": ("v1",),
        "oci.manifest.digest": digest,
        "pushprune.reason": system.reasons()["v1"],
        "pushprune.rule": "last",
        "pushprune.result": "deleted",
    }
    (request,) = traces.named("DELETE")
    assert attributes(request)["http.response.status_code"] == 202
    assert str(attributes(request)["url.full"]).endswith(f"/v2/{SHOP}/manifests/{digest}")


def test_no_span_names_the_user_who_deletes_manually(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(5))
    system.push("v1", "v2")
    system.settle()
    system.store.manual.request(SHOP, {"v1": system.registry.tags(SHOP)["v1"]}, "hunter2")
    system.messages.enforce(SHOP)
    system.settle()
    assert system.tags() == {"v2"}
    (image,) = traces.named("delete image")
    assert attributes(image)["pushprune.reason"] == "deleted manually"
    assert "hunter2" not in "".join(span.to_json() for span in traces.all())


def test_a_plan_that_answers_several_pushes_is_part_of_the_newest_and_links_to_the_others(
    make_system: Make, traces: Traces
) -> None:
    system = make_system(keep_last(5))
    system.push("v1", "v2", "v3")
    system.settle()
    pushes = {str(attributes(span)["container.image.tags"][0]): ids(span) for span in traces.named("push")}  # type: ignore[index]
    (plan,) = traces.named("plan")
    assert pair(plan.parent) == pushes["v3"]
    assert [pair(link.context) for link in plan.links] == [pushes["v2"], pushes["v1"]]


def test_a_plan_that_answers_no_push_begins_a_trace(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(5))
    system.push("v1")
    system.settle()
    planning.enforce(system.wiring, SHOP)
    first, second = traces.named("plan")
    assert first.parent is not None
    assert second.parent is None


def test_a_deletion_whose_message_was_lost_is_still_part_of_the_trace(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    deleting.delete(system.wiring, SHOP)
    plan, (deletion,) = traces.named("plan")[-1], traces.named("delete")
    assert pair(deletion.parent) == ids(plan)
    context = f"00-{ids(deletion)[0]:032x}-{ids(deletion)[1]:016x}-01"
    assert system.store.collections.deletions_traced() == (context,)


def test_a_notification_that_is_sent_twice_makes_one_span(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(5))
    system.deaf = True
    system.push("v1")
    system.missed *= 2
    system.hear_late()
    assert len(traces.named("push")) == 1


def test_a_collection_links_to_the_deletions_that_it_makes_final(
    make_wiring: MakeWiring, traces: Traces, tmp_path: Path
) -> None:
    wiring = make_wiring(gc=collector(tmp_path, QUIET))
    with tracing.span("delete"):
        wiring.store.collections.note_deletions(tracing.context())
    wiring.store.collections.request(f"{MANUAL} (hunter2)")
    collect_run.collect(wiring)
    assert wiring.store.collections.deletions_traced() == ()
    (collection,), (deletion,) = traces.named("collect"), traces.named("delete")
    assert [pair(link.context) for link in collection.links] == [ids(deletion)]
    assert attributes(collection)["pushprune.result"] == "done"
    assert attributes(collection)["pushprune.blobs"] == 2
    # No span names a user.
    assert attributes(collection)["pushprune.reason"] == MANUAL


def test_the_registry_can_continue_the_trace(make_system: Make, traces: Traces) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    system.settle()
    (request,) = traces.named("DELETE")
    sent = [dict(entry.headers) for entry in system.registry.requests if entry.method == "DELETE"]
    assert [headers["traceparent"] for headers in sent] == [f"00-{ids(request)[0]:032x}-{ids(request)[1]:016x}-01"]
