"""What `/metrics` tells Prometheus. No label comes from a client."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)


class Measured:
    """The server's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "softcam_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "softcam_request_seconds",
            "Time to an answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "softcam_refusals", "Requests turned away.", ["code"], registry=registry
        )
        self.batch_size = Histogram(
            "softcam_batch_images",
            "Images run together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "softcam_batch_seconds",
            "Time of the model for a batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.decode_seconds = Histogram(
            "softcam_decode_seconds",
            "Time to decode and prepare an image.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.decoders_replaced = Counter(
            "softcam_decoders_replaced",
            "Decoding processes that were ended.",
            ["reason"],
            registry=registry,
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a value that is asked for when somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def batch(self, count: int, seconds: float) -> None:
        """Count a batch."""
        self.batch_size.observe(count)
        self.batch_seconds.observe(seconds)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: The route's pattern, never the path that was asked for.
            status: The HTTP status.
            seconds: From its head to the end of the answer.
        """
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Give all of it in Prometheus's text format."""
        return generate_latest(self.registry)
