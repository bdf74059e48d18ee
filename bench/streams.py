"""Streams: reading a long run back, and how soon an append arrives on a live one."""

from __future__ import annotations

from statistics import median, quantiles

from bench.figure import Taken, alternate
from bench.filling import long_run
from bench.setting import Setting

OPEN_STREAMS = 1000
APPENDS_PER_SECOND = 100


async def backfill(setting: Setting) -> list[Taken]:
    one, schema = setting.generators.one, "long"

    async def streamed() -> float:
        answer = await one("streams:backfill", address=ours.address, run_id=run_id)
        return rate(answer)

    async def paged() -> float:
        return rate(await one("direct:pages", url=setting.url, schema=schema, run=run))

    def rate(answer: dict[str, float]) -> float:
        assert answer["count"] == setting.options.events, answer
        return answer["count"] / answer["seconds"]

    async with setting.server(schema) as ours:
        run_id = await long_run(setting, ours, schema, setting.options.events)
        (run,) = await setting.numbers([run_id], schema)
        values, baseline = await alternate(setting.options.rounds, streamed, paged)
    return [Taken("backfill", values, baseline, {"events": setting.options.events})]


async def delivery(setting: Setting) -> list[Taken]:
    one, calls = setting.generators.one, setting.options.calls

    async def delivered() -> float:
        answer = await one("streams:delivery", address=ours.address, run_id=runs[0], calls=calls)
        await setting.settled()
        return median(answer["times"])

    async def appended() -> float:
        answer = await one("appends:latency", address=ours.address, runs=runs[1:], calls=calls)
        await setting.settled()
        return median(answer["times"])

    async with setting.server() as ours:
        runs = await setting.new_runs(ours, 2)
        values, baseline = await alternate(setting.options.rounds, delivered, appended)
    return [Taken("delivery", values, baseline)]


async def crowd(setting: Setting) -> list[Taken]:
    """One generator holds a thousand streams, another appends to their runs at a steady rate."""
    reader, writer = setting.generators.alone(0), setting.generators.alone(1)
    values, appends = [], []
    async with setting.server() as ours:
        runs = await setting.new_runs(ours, OPEN_STREAMS)
        for number in range(setting.options.rounds + 1):
            await reader.one("streams:open_streams", address=ours.address, runs=runs, unread=[])
            sent = await writer.one(
                "streams:paced",
                address=ours.address,
                runs=runs,
                per_second=APPENDS_PER_SECOND,
                seconds=setting.options.seconds,
            )
            closed = await reader.one("streams:close_streams", deliveries=sent["count"])
            if number:
                values.append(quantiles(closed["times"], n=100)[98])
                appends.append(quantiles(sent["times"], n=100)[98])
            await setting.settled()
    notes = {"append_p99_ms": median(appends), "appends_per_second": APPENDS_PER_SECOND}
    return [Taken("delivery-crowd", values, notes=notes)]
