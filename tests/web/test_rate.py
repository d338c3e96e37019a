from __future__ import annotations

from softcam.web.rate import RateLimiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_send_a_burst_and_then_one_at_the_rate():
    clock = Clock()
    limiter = RateLimiter(2.0, 3, clock)
    assert [limiter.wait("10.0.0.1") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now = 0.5
    assert [limiter.wait("10.0.0.1") for _ in range(2)] == [0, 0.5]
    clock.now = 100.0
    assert [limiter.wait("10.0.0.1") for _ in range(4)] == [0, 0, 0, 0.5]


def test_clients_are_counted_apart_and_an_ipv6_network_is_one_client():
    limiter = RateLimiter(1.0, 1, Clock())
    assert limiter.wait("10.0.0.1") == 0
    assert limiter.wait("10.0.0.2") == 0
    assert limiter.wait("2001:db8::1") == 0
    assert limiter.wait("2001:db8::2") == 1
    assert limiter.wait("2001:db8:0:1::2") == 0
    assert limiter.wait("no address") == 0


def test_clients_that_come_and_go_do_not_fill_the_memory():
    limiter = RateLimiter(1.0, 1, Clock())
    for number in range(10_000):
        limiter.wait(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._buckets) <= 4096
