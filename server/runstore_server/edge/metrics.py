"""What the server counts of itself, for Prometheus.

The numbers are one process's. Children are looked up once a label, so that counting a call costs
about a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from grpc import StatusCode
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.feed import Duty, Lag

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Otherwise each counter has a second series that says when its first count was.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has it without types


class WatchedWorker(Protocol):
    """What the numbers of a duty are read from."""

    name: str
    is_leading: bool
    done: int


class Metrics:
    """Counters of one server over a registry of its own, or one that is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        calls = Counter(
            "runstore_grpc_calls",
            "gRPC calls that ended, by method and status code.",
            ("method", "code"),
            registry=self.registry,
        )
        seconds = Histogram(
            "runstore_grpc_call_seconds",
            "How long unary gRPC calls that succeeded took.",
            ("method",),
            buckets=SECONDS,
            registry=self.registry,
        )
        streams = Gauge(
            "runstore_open_streams",
            "Streams that are open, by what opened them.",
            ("kind",),
            registry=self.registry,
        )
        requests = Counter(
            "runstore_http_requests",
            "HTTP requests that ended, by route template, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._appended = Counter(
            "runstore_appended_events",
            "Events that append calls added; repeated writes do not count.",
            registry=self.registry,
        )
        self._lag_events = Gauge(
            "runstore_feed_lag_events",
            "Events that were committed and are not published yet, by any process.",
            registry=self.registry,
        )
        self._lag_seconds = Gauge(
            "runstore_feed_lag_seconds",
            "How long the oldest of them has waited.",
            registry=self.registry,
        )
        self._positions = Gauge(
            "runstore_duty_position",
            "How far each duty has come in the feed, whoever has it.",
            ("duty",),
            registry=self.registry,
        )
        self._calls = cache(calls.labels)
        self._seconds = cache(seconds.labels)
        self._streams = cache(streams.labels)
        self._requests = cache(requests.labels)

    def call_ended(self, method: str, code: StatusCode) -> None:
        self._calls(method, code.name).inc()

    def call_took(self, method: str, seconds: float) -> None:
        self._seconds(method).observe(seconds)

    def request_ended(self, route: str, method: str, status: int) -> None:
        """Count an HTTP request; `route` and `method` come from closed sets."""
        self._requests(route, method, status).inc()

    def answered(self, response: Any) -> None:
        """Count the events that an answer acknowledges."""
        if events := _appended_by(response):
            self._appended.inc(events)

    @contextmanager
    def stream(self, kind: str) -> Iterator[None]:
        """Count a stream as open for as long as the context lasts."""
        with self._streams(kind).track_inprogress():
            yield

    def watch(self, workers: Sequence[WatchedWorker]) -> None:
        """Count what the duties' workers of this process do."""
        self.registry.register(_Duties(workers))

    def lags(self, lag: Lag, duties: Sequence[Duty]) -> None:
        """Note what the database says of the feed."""
        self._lag_events.set(lag.events)
        self._lag_seconds.set(lag.seconds)
        for duty in duties:
            self._positions.labels(duty.name).set(duty.position)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Duties(Collector):
    """Reads the workers when it is asked."""

    def __init__(self, workers: Sequence[WatchedWorker]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        leading = GaugeMetricFamily(
            "runstore_duty_leader", "1 where this process has the duty.", labels=("duty",)
        )
        done = CounterMetricFamily(
            "runstore_duty_entries",
            "Events published, or entries counted or delivered, by this process.",
            labels=("duty",),
        )
        for worker in self._workers:
            leading.add_metric((worker.name,), float(worker.is_leading))
            done.add_metric((worker.name,), float(worker.done))
        yield from (leading, done)


def _appended_by(response: Any) -> int:
    if isinstance(response, rpc.AppendEventResponse):
        return int(not response.deduplicated)
    if isinstance(response, rpc.AppendEventsResponse):
        return sum(not event.deduplicated for event in response.events)
    if isinstance(response, rpc.AppendEventStreamResponse) and response.HasField("appended"):
        return int(not response.appended.deduplicated)
    return 0
