"""The server's metrics for Prometheus.

They are those of one process. The child of each set of labels is looked up once, so that counting a
call costs about a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
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
from runstore_storage.contract.feed import (
    BESIDE_THE_FEED,
    RELAY,
    REMOVALS,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
    FeedStore,
    sink_duty,
)
from runstore_storage.contract.scope import NoScope

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# What the lag of a duty is called, and what is done with an event that it has dealt with.
LAGS = {
    RELAY: ("feed", "published"),
    SEARCH: ("search", "indexed"),
    STORED_BYTES: ("stored_bytes", "summed"),
    USAGE_COUNTS: ("usage_counts", "counted"),
    REMOVALS: ("removals", "removed, of runs that were deleted"),
}

# Otherwise each counter has a second series with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped


class WatchedWorker(Protocol):
    """What the metrics of a duty are read from."""

    name: str
    is_leading: bool
    done: int


class Metrics:
    """Metrics of one server, in a registry of its own or in the given one."""

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
            "Duration of unary gRPC calls that succeeded.",
            ("method",),
            buckets=SECONDS,
            registry=self.registry,
        )
        streams = Gauge(
            "runstore_open_streams",
            "Open streams, by what opened them.",
            ("kind",),
            registry=self.registry,
        )
        self._limits = Gauge(
            "runstore_open_streams_limit",
            "How many streams this process may have open, of those kinds that have a limit.",
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
            "Events added by append calls; repeated writes do not count.",
            registry=self.registry,
        )
        self._lags = {duty: self._lag(name, done) for duty, (name, done) in LAGS.items()}
        self._sink_lags = self._lag("sink", "delivered to the sink", ("sink",))
        self._sinks: tuple[str, ...] = ()
        self._positions = Gauge(
            "runstore_duty_position",
            "How far each duty has got in the feed, in whichever process.",
            ("duty",),
            registry=self.registry,
        )
        self._held = Gauge(
            "runstore_duty_held",
            "1 if any process holds the duty, this one or another.",
            ("duty",),
            registry=self.registry,
        )
        asked = Counter(
            "runstore_auth",
            "Callers that were let in or refused, by RPC or route, kind of credential and outcome.",
            ("method", "kind", "outcome"),
            registry=self.registry,
        )
        quota_refused = Counter(
            "runstore_quota_refusals",
            "Calls, messages and streams that were refused by a limit of their project.",
            ("limit",),
            registry=self.registry,
        )
        self._wall = Counter(
            "runstore_wall",
            "Statements that were refused because no project was bound to their call: a defect.",
            registry=self.registry,
        )
        self._asked = cache(asked.labels)
        self._quota_refused = quota_refused.labels
        self._calls = cache(calls.labels)
        self._seconds = cache(seconds.labels)
        self._streams = cache(streams.labels)
        self._requests = cache(requests.labels)

    def call_ended(self, method: str, code: StatusCode) -> None:
        self._calls(method, code.name).inc()

    def call_took(self, method: str, seconds: float) -> None:
        self._seconds(method).observe(seconds)

    def request_ended(self, route: str, method: str, status: int) -> None:
        """Count an HTTP request; `route` and `method` are from closed sets."""
        self._requests(route, method, status).inc()

    def asked(self, name: str, kind: str, outcome: str) -> None:
        """Count a caller of an RPC or route; all three are from closed sets."""
        self._asked(name, kind, outcome).inc()

    def quota_refused(self, limit: str) -> None:
        """Count a refusal for want of quota; `limit` is from a closed set."""
        self._quota_refused(limit).inc()

    def failed(self, error: Exception) -> None:
        """Count a defect that the second wall caught."""
        if isinstance(error, NoScope):
            self._wall.inc()

    def answered(self, response: Any) -> None:
        """Count the events that a response acknowledges as added."""
        if events := _appended_by(response):
            self._appended.inc(events)

    @contextmanager
    def stream(self, kind: str) -> Iterator[None]:
        """Count a stream as open for as long as the context lasts."""
        with self._streams(kind).track_inprogress():
            yield

    def watch(self, workers: Sequence[WatchedWorker], buried: Mapping[str, int]) -> None:
        """Show what this process's workers of duties do, how many events they gave up by sink, and
        how far those sinks are behind.
        """
        self._sinks = tuple(buried)
        self.registry.register(_Duties(workers, buried))

    def show_health(self, is_ready: Callable[[], bool], warnings: Callable[[], int]) -> None:
        """Show what /readyz says: whether it is ready, and how many warnings it lists."""
        ready = Gauge(
            "runstore_ready",
            "1 while the process takes calls and its database answers and accepts writes.",
            registry=self.registry,
        )
        ready.set_function(lambda: float(is_ready()))
        warned = Gauge(
            "runstore_warnings",
            "Warnings of what will make writes fail unless an operator sees to it.",
            registry=self.registry,
        )
        warned.set_function(lambda: float(warnings()))

    def show_limit(self, kind: str, streams: int) -> None:
        """Show how many streams of a kind this process may have open."""
        self._limits.labels(kind).set(streams)

    def show_expiry(self, expires_at: Callable[[], datetime]) -> None:
        """Show when the certificate that is served expires."""
        gauge = Gauge(
            "runstore_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that new connections get expires, in seconds since 1970.",
            registry=self.registry,
        )
        gauge.set_function(lambda: expires_at().timestamp())

    def show_key_ages(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """Show for how long the keys of each issuer of JSON Web Tokens have not been fetched."""
        gauge = Gauge(
            "runstore_jwks_age_seconds",
            "Seconds since an issuer's keys were last fetched; +Inf if they never were.",
            ("issuer",),
            registry=self.registry,
        )
        for issuer, age in ages.items():
            gauge.labels(issuer).set_function(age)

    def _lag(self, name: str, done: str, labels: Sequence[str] = ()) -> tuple[Gauge, Gauge]:
        """How many events wait to be done with, and for how long the oldest has."""
        registry = self.registry
        events = f"Events that no process has {done} yet."
        seconds = f"How long the oldest event has waited to be {done}."
        return (
            Gauge(f"runstore_{name}_lag_events", events, labels, registry=registry),
            Gauge(f"runstore_{name}_lag_seconds", seconds, labels, registry=registry),
        )

    async def read_feed(self, feed: FeedStore) -> None:
        """Set the metrics of the feed, as the database has them."""
        for duty, (events, seconds) in self._lags.items():
            lag = await feed.lag(duty)
            events.set(lag.events)
            seconds.set(lag.seconds)
        for sink in self._sinks:
            lag = await feed.lag(sink_duty(sink))
            for gauge, value in zip(self._sink_lags, (lag.events, lag.seconds), strict=True):
                gauge.labels(sink).set(value)
        for each in await feed.list_duties():
            if each.name not in BESIDE_THE_FEED:
                self._positions.labels(each.name).set(each.position)
            self._held.labels(each.name).set(bool(each.holder))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Duties(Collector):
    """Reads the workers whenever metrics are collected."""

    def __init__(self, workers: Sequence[WatchedWorker], buried: Mapping[str, int]) -> None:
        self._workers = workers
        self._buried = buried

    def collect(self) -> Iterator[Metric]:
        leading = GaugeMetricFamily(
            "runstore_duty_leader", "1 if this process holds the duty.", labels=("duty",)
        )
        done = CounterMetricFamily(
            "runstore_duty_entries",
            "Events published, or entries counted, summed, indexed or delivered, by this process.",
            labels=("duty",),
        )
        for worker in self._workers:
            leading.add_metric((worker.name,), float(worker.is_leading))
            done.add_metric((worker.name,), float(worker.done))
        given_up = CounterMetricFamily(
            "runstore_dead_letters",
            "Events that this process gave up delivering and stored as dead letters.",
            labels=("sink",),
        )
        for sink, count in self._buried.items():
            given_up.add_metric((sink,), float(count))
        yield from (leading, done, given_up)


def _appended_by(response: Any) -> int:
    if isinstance(response, rpc.AppendEventResponse):
        return int(not response.deduplicated)
    if isinstance(response, rpc.AppendEventsResponse):
        return sum(not event.deduplicated for event in response.events)
    if isinstance(response, rpc.AppendManyResponse):
        return sum(map(_appended_by, response.results))
    if isinstance(response, rpc.AppendEventStreamResponse | rpc.AppendResult) and response.HasField(
        "appended"
    ):
        return int(not response.appended.deduplicated)
    return 0
