"""Resuming a long run, and whether reads slow down as runs grow."""

from __future__ import annotations

from statistics import median, quantiles

from bench.figure import Taken, alternate
from bench.filling import long_run
from bench.servers import Server
from bench.setting import Setting

EVENTS = 100_000
# Between the snapshot and the end.
AFTER_SNAPSHOT = 20

READS = ("resume", "replay", "snapshot", "events_from_middle", "events_at_end", "run")


def schema_of(events: int) -> str:
    """Where the run of so many events is, alone."""
    return f"events_{events}"


async def resume(setting: Setting) -> list[Taken]:
    """Beside one row read by the same call path, and beside one read from Postgres directly."""
    schema = schema_of(EVENTS)

    async def timed(read: str) -> float:
        return median(await times(setting, server, run_id, EVENTS, read))

    async def row() -> float:
        asked = {"url": setting.url, "schema": schema, "calls": setting.options.calls}
        return median((await setting.generators.one("direct:row", **asked, run_id=run_id))["times"])

    async with setting.server(schema) as server:
        run_id = await resumable(setting, server, schema, EVENTS)
        resumed, replayed, got, read = await alternate(
            setting.options.rounds,
            lambda: timed("resume"),
            lambda: timed("replay"),
            lambda: timed("run"),
            row,
        )
    return [
        Taken("resume", resumed, read),
        Taken("resume-rpc", resumed, got),
        Taken("replay-rpc", replayed, got),
    ]


async def growth(setting: Setting) -> list[Taken]:
    """The same reads of runs of growing size; every size has a schema and a server of its own."""
    small, *larger = sorted(setting.options.sizes)
    taken = []
    for size in larger:
        async with (
            setting.server(schema_of(small)) as first,
            setting.server(schema_of(size)) as second,
        ):
            found = await _compared(setting, (first, small), (second, size))
        # The slowest against its small self stands for all; the others are in the notes.
        worst = max(found, key=lambda read: median(found[read][0]) / median(found[read][1]))
        notes = {
            read: {"p95_ms": median(at_size), f"p95_ms_at_{small}": median(at_small)}
            for read, (at_size, at_small) in found.items()
        }
        taken.append(Taken(f"reads-{size}", *found[worst], {"worst": worst, "reads": notes}))
    return taken


async def _compared(
    setting: Setting, small: tuple[Server, int], large: tuple[Server, int]
) -> dict[str, tuple[list[float], list[float]]]:
    """p95 of each read at the large size and at the small."""
    runs = {
        size: await resumable(setting, server, schema_of(size), size)
        for server, size in (small, large)
    }

    async def p95(server: Server, size: int, read: str) -> float:
        return quantiles(await times(setting, server, runs[size], size, read), n=20)[18]

    found = {}
    for read in READS:
        found[read] = tuple(
            await alternate(
                setting.options.rounds,
                lambda read=read: p95(*large, read),
                lambda read=read: p95(*small, read),
            )
        )
    return found


async def times(
    setting: Setting, server: Server, run_id: str, events: int, read: str
) -> list[float]:
    """Milliseconds of each call of a round."""
    asked = {"address": server.address, "run_id": run_id, "calls": setting.options.calls}
    if read == "resume":
        answer = await setting.generators.one(
            "reads:resumes", **asked, after_snapshot=AFTER_SNAPSHOT
        )
        await setting.settled(schema_of(events))
    else:
        answer = await setting.generators.one("reads:read", **asked, last_seq=events, read=read)
    found: list[float] = answer["times"]
    return found


async def resumable(setting: Setting, server: Server, schema: str, events: int) -> str:
    """A run of so many events with a snapshot shortly before its end."""
    is_new = (schema, events) not in setting.long_runs
    run_id = await long_run(setting, server, schema, events)
    if is_new:
        await setting.generators.one(
            "reads:put_snapshot", address=server.address, run_id=run_id, seq=events - AFTER_SNAPSHOT
        )
    return run_id
