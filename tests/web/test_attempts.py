"""Failed logins: an address that guesses tokens must wait for a while, in whatever form it connects."""

import pytest

from service.web import attempts
from service.web.attempts import Attempts


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def failing(attempted: Attempts, *addresses: str) -> None:
    for address in addresses:
        attempted.failed(address)


def test_after_ten_within_a_minute_an_address_waits_for_the_rest_of_it() -> None:
    clock = Clock()
    attempted = Attempts(clock)
    failing(attempted, *["10.0.0.1"] * 9)
    assert attempted.wait_s("10.0.0.1") == 0
    failing(attempted, "10.0.0.1")
    clock.now_s = 20
    assert attempted.wait_s("10.0.0.1") == 40
    assert attempted.wait_s("10.0.0.2") == 0
    clock.now_s = 61
    assert attempted.wait_s("10.0.0.1") == 0


def test_a_whole_network_of_ipv6_counts_as_one_address() -> None:
    """A user with one address of a network has 2⁶⁴ of them."""
    attempted = Attempts(Clock())
    failing(attempted, *(f"2001:db8::{number:x}" for number in range(10)))
    assert attempted.wait_s("2001:db8::ffff:1") > 0
    assert attempted.wait_s("2001:db8:0:1::1") == 0


@pytest.mark.parametrize("mapped", ["::ffff:10.0.0.1", "unix:", ""])
def test_every_other_address_is_one_of_its_own(mapped: str) -> None:
    attempted = Attempts(Clock())
    failing(attempted, *[mapped] * 10)
    assert attempted.wait_s(mapped) > 0
    assert attempted.wait_s("::ffff:10.0.0.2") == 0


def test_no_more_addresses_than_a_thousand_are_remembered() -> None:
    attempted = Attempts(Clock())
    failing(attempted, *(f"10.0.{number // 256}.{number % 256}" for number in range(1500)))
    assert len(attempted._failed) == attempts._ADDRESSES == 1000
