"""The table: every figure that is measured, its baseline and what is wanted of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from bench import (
    access,
    appends,
    archives,
    costs,
    memory,
    removals,
    resumes,
    retention,
    searches,
    snapshots,
    statements,
    steps,
    streams,
)
from bench.figure import Figure, Taken, at_least, at_most
from bench.peers import etcd, libraries
from bench.setting import Options, Setting

FIGURES = {
    "append": Figure("AppendEvent, 32 in flight", "/s", "bare echo", at_least(0.55)),
    "append-client-32": Figure(
        "append of the Python client, 32 callers", "/s", "bare echo, an RPC each", at_least(1.3)
    ),
    "append-client-256": Figure(
        "append of the Python client, 256 callers", "/s", "bare echo, an RPC each", at_least(2.5)
    ),
    "append-relay": Figure(
        "the same, relay in a process of its own", "/s", "bare echo", at_least(0.55)
    ),
    "append-stream": Figure("AppendEventStream, 8 streams", "/s", "bare echo", at_least(0.6)),
    "append-batch": Figure(
        "AppendEvents of 100", "events/s", "asyncpg, multi-row insert", at_least(0.6)
    ),
    "append-batch-settled": Figure(
        "the same, until all is published, counted and searchable",
        "events/s",
        "asyncpg, multi-row insert",
        at_least(0.3),
    ),
    "append-latency": Figure(
        "AppendEvent, one in flight", "ms", "bare echo + one transaction", at_most(1.7)
    ),
    "backfill": Figure("StreamEvents, backfill", "events/s", "asyncpg, pages", at_least(0.3)),
    "delivery": Figure(
        "append to delivery, p50", "ms", "AppendEvent, one in flight, p50", at_most(2)
    ),
    "delivery-crowd": Figure("append to delivery, p99, 1,000 streams", "ms", target=at_most(25)),
    "snapshot-time": Figure(
        "PutSnapshot, unchanged parts by hash", "ms", "LangGraph, a channel a part", at_most(0.2)
    ),
    "snapshot-bytes": Figure(
        "the same step, on disk", "bytes", "LangGraph, a channel a part", at_most(0.1)
    ),
    "snapshot-whole-time": Figure(
        "PutSnapshot, whole state", "ms", "LangGraph, state in one channel", at_most(1)
    ),
    "snapshot-whole-bytes": Figure(
        "the same step, on disk", "bytes", "LangGraph, state in one channel", at_most(0.1)
    ),
    **{
        f"step-{durability}{of}": figure
        for durability in steps.DURABILITIES
        for of, figure in {
            "": Figure(
                f"LangGraph step, durability {durability}", "ms", "AsyncPostgresSaver", at_most(2)
            ),
            "-cpu": Figure(
                "the same, CPU of client, server and Postgres", "ms", "AsyncPostgresSaver"
            ),
            "-rpcs": Figure("the same, RPCs", ""),
        }.items()
    },
    "resume": Figure("ResumeRun, 100,000 events", "ms", "asyncpg, one indexed row", at_most(3)),
    "resume-rpc": Figure("ResumeRun, 100,000 events", "ms", "GetRun", at_most(3.5)),
    "replay-rpc": Figure("ReplayRun, 100,000 events", "ms", "GetRun"),
    "search": Figure("search, p95 of the slowest query", "ms", target=at_most(50)),
    "memory": Figure("server's growth by 1,000 streams, 100 never read", "MB", target=at_most(100)),
    "workers": Figure("AppendEvent, --workers 2", "/s", "--workers 1"),
    "etcd": Figure(
        "append of the Python client, 256 callers", "/s", "etcd, 256 Puts in flight", at_least(1)
    ),
    **libraries.figures(),
    "cost-server": Figure("server's CPU, an append", "ms", "bare echo's"),
    "cost-postgres": Figure("Postgres's CPU, an append", "ms"),
    "cost-generator": Figure("load generator's CPU, an append", "ms"),
    "cost-wal": Figure("WAL, an append", "bytes"),
    "append-auth": Figure(
        "server's CPU, an append, callers with tokens", "ms", "callers without", at_most(1.03)
    ),
    "append-auth-tls": Figure("the same, over TLS", "ms", "callers without, in plain text"),
    "get-run-auth": Figure(
        "server's CPU, a GetRun, callers with tokens", "ms", "callers without", at_most(1.03)
    ),
    "get-run-auth-tls": Figure("the same, over TLS", "ms", "callers without, in plain text"),
    "removal": Figure("a run deleted, until all is gone", "events/s", "asyncpg, one plain DELETE"),
    "append-removing": Figure(
        "AppendEvent, 32 in flight, while a run of 100,000 events is removed", "/s", "while none is"
    ),
    "retention": Figure(
        "200 runs of 100 events let go by a policy, until all is gone",
        "events/s",
        "the same deleted one by one",
    ),
    "append-retaining": Figure(
        "AppendEvent, 32 in flight, while 200 runs of 100 events are let go", "/s", "while none is"
    ),
    "archive-verify": Figure("an exported run verified without a server", "events/s", "VerifyRun"),
    "archive-size": Figure(
        "an archived event, in the object store", "bytes", "its row and index entries"
    ),
    "disk-append": Figure("disk, an event that came alone", "bytes"),
    "disk-append-search": Figure("its search index, alone", "bytes"),
    "disk-batch": Figure("disk, an event of a hundred at once", "bytes"),
    "disk-batch-search": Figure("its search index, a hundred", "bytes"),
    "statements": Figure("statements an append, 32 in flight", ""),
    "statements-alone": Figure("statements an append, one in flight", ""),
}
_READS = Figure("p95 of the slowest read at {size:,} events", "ms", "", at_most(1.5))


def figure_of(key: str, options: Options) -> Figure:
    """The line of a figure; those of sizes are made for the sizes that were asked for."""
    name, _, size = key.rpartition("-")
    if name != "reads":
        return FIGURES[key]
    title = _READS.title.format(size=int(size))
    return replace(_READS, title=title, baseline=f"the same at {min(options.sizes):,}")


MEASURES: dict[str, Callable[[Setting], Awaitable[list[Taken]]]] = {
    "append": appends.unary,
    "append-client": appends.shipped,
    "append-relay": appends.beside_relay,
    "append-stream": appends.streams,
    "append-batch": appends.batches,
    "append-latency": appends.latency,
    "backfill": streams.backfill,
    "delivery": streams.delivery,
    "delivery-crowd": streams.crowd,
    "snapshot": snapshots.by_reference,
    "snapshot-whole": snapshots.whole,
    "step": steps.beside_langgraph,
    "resume": resumes.resume,
    "reads": resumes.growth,
    "search": searches.slowest,
    "memory": memory.streams,
    "etcd": etcd.puts,
    "peers": libraries.beside,
    "cost": costs.unary,
    "access": access.calls,
    "removal": removals.deletions,
    "retention": retention.policies,
    "archive": archives.archived,
    "disk": costs.disk,
    "statements": statements.counted,
    "workers": appends.workers,
}
