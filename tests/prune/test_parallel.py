"""The threads that work through batches."""

import threading
from functools import partial

import pytest

from service.domain.errors import LeaseLost, RegistryUnavailable
from service.domain.retention.plan import Doomed
from service.prune.parallel import in_parallel

IMAGES = tuple(Doomed(f"sha256:{number}", ()) for number in range(20))


def test_all_batches_share_the_threads() -> None:
    """A connection to Redis belongs to a thread, and opening one takes as long as ten calls."""
    threads, done = set[int](), list[Doomed]()

    def note(image: Doomed) -> None:
        threads.add(threading.get_ident())
        done.append(image)

    with in_parallel(3) as work:
        for _ in range(20):
            work([partial(note, image) for image in IMAGES])
    assert len(threads) <= 3
    assert len(done) == 20 * len(IMAGES)


def test_a_single_image_is_the_work_of_the_caller() -> None:
    threads = list[int]()
    with in_parallel(3) as work:
        work([lambda: threads.append(threading.get_ident())])
    assert threads == [threading.get_ident()]


def test_the_first_error_stops_the_batch_and_not_the_next_one() -> None:
    tried, done = list[Doomed](), list[Doomed]()

    def fail(image: Doomed) -> None:
        tried.append(image)
        raise LeaseLost(image.digest)

    with in_parallel(1) as work:
        with pytest.raises(LeaseLost, match="sha256:0"):
            work([partial(fail, image) for image in IMAGES])
        work([partial(done.append, image) for image in IMAGES])
    assert tried == [IMAGES[0]]
    assert done == list(IMAGES)


def test_the_fault_of_one_request_stops_no_other_image() -> None:
    done = list[Doomed]()

    def fail_first(image: Doomed) -> None:
        done.append(image)
        if image is IMAGES[0]:
            raise RegistryUnavailable("500", is_fault=True)

    with in_parallel(1) as work, pytest.raises(RegistryUnavailable):
        work([partial(fail_first, image) for image in IMAGES])
    assert done == list(IMAGES)
