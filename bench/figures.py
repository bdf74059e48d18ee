"""The table: every figure that is measured, its baseline and what is wanted of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench import appends, streams
from bench.figure import Figure, Taken, at_least, at_most
from bench.setting import Setting

FIGURES = {
    "append": Figure("AppendEvent, 32 in flight", "/s", "bare echo", at_least(0.5)),
    "append-relay": Figure(
        "the same without relay, which runs beside", "/s", "bare echo", at_least(0.5)
    ),
    "append-stream": Figure("AppendEventStream, 8 streams", "/s", "bare echo", at_least(0.6)),
    "append-batch": Figure(
        "AppendEvents of 100", "events/s", "asyncpg, multi-row insert", at_least(0.7)
    ),
    "append-latency": Figure(
        "AppendEvent, one in flight", "ms", "bare echo + one transaction", at_most(1.5)
    ),
    "backfill": Figure("StreamEvents, backfill", "events/s", "asyncpg, pages", at_least(0.3)),
    "delivery": Figure(
        "append to delivery, p50", "ms", "AppendEvent, one in flight, p50", at_most(2)
    ),
    "delivery-crowd": Figure("the same, p99, 1,000 streams open", "ms", target=at_most(25)),
    "workers": Figure("AppendEvent, --workers 2", "/s", "--workers 1"),
}

MEASURES: dict[str, Callable[[Setting], Awaitable[list[Taken]]]] = {
    "append": appends.unary,
    "append-relay": appends.beside_relay,
    "append-stream": appends.streams,
    "append-batch": appends.batches,
    "append-latency": appends.latency,
    "backfill": streams.backfill,
    "delivery": streams.delivery,
    "delivery-crowd": streams.crowd,
    "workers": appends.workers,
}
