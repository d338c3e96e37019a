"""How often a client may ask: a bucket of tokens for each, filled at a steady rate."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

_CLIENTS = 4096
_V6_BITS = 64  # what one household or machine has


class RateLimiter:
    """Counts requests by client.

    Args:
        rate: Requests a second that a client may go on with.
        burst: Requests that it may send at once.
        clock: Seconds that only grow.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Count a request in.

        Args:
            client: Its address.

        Returns:
            0 if the client may go on; else the seconds after which it may.
        """
        key = _key(client)
        now = self._clock()
        tokens, before = self._buckets.pop(key, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - before) * self._rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _CLIENTS:  # whoever was silent longest has a full bucket by now
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self._rate


def _key(client: str) -> str:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((address, _V6_BITS), strict=False))
