"""Appends: a call, a stream, a batch; how many, and how fast one is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from statistics import median
from typing import Any

from bench.figure import Taken, alternate
from bench.servers import Server
from bench.setting import Setting

IN_FLIGHT = 32
CALLERS = (32, 256)
STREAMS = 8
BATCH = 100
BATCHES_IN_FLIGHT = 4


class Settling:
    """How long the feed needs after each round to catch up; the longest is noted."""

    def __init__(self, setting: Setting, schema: str = "runstore") -> None:
        self._setting, self._schema, self.longest = setting, schema, 0.0
        self.whole: list[float] = []
        """The rates of the rounds over the time until what they appended had settled."""

    async def after(self, rate: Any) -> float:
        value: float = await rate
        settled = await self._setting.settled(self._schema)
        seconds = self._setting.options.seconds
        self.longest = max(self.longest, settled)
        self.whole.append(value * seconds / (seconds + settled))
        return value

    @property
    def notes(self) -> dict[str, float]:
        return {"feed_settles_seconds": self.longest}


def unary_rate(setting: Setting, server: Server, runs: list[str], connections: int = 1) -> Any:
    """Awaits to AppendEvents a second, 32 in flight over all generators."""
    asked = setting.split(address=server.address, runs=runs, connections=connections)
    for each in asked:
        each |= {"in_flight": len(each["runs"]), "seconds": setting.options.seconds}
    return setting.generators.rate("appends:unary", asked)


def stream_rate(setting: Setting, server: Server, runs: list[str]) -> Any:
    """Awaits to events a second that AppendEventStreams append, one to a run."""
    asked = setting.split(address=server.address, runs=runs)
    for each in asked:
        each |= {"count": len(each["runs"]), "seconds": setting.options.seconds}
    return setting.generators.rate("appends:streams", asked)


def client_rate(setting: Setting, server: Server, runs: list[str], callers: int) -> Any:
    """Awaits to `append` calls a second that one Python client makes for so many callers."""
    seconds = setting.options.seconds
    asked = {"address": server.address, "runs": runs, "callers": callers, "seconds": seconds}
    return setting.generators.rate("clients:appends", [asked])


async def unary(setting: Setting) -> list[Taken]:
    return await _beside_echo(setting, "append", setting.server(), unary_rate, IN_FLIGHT)


async def shipped(setting: Setting) -> list[Taken]:
    """`append` of one Python client, by few and by many callers, beside a bare RPC for each."""
    return [await _shipped(setting, callers) for callers in CALLERS]


async def _shipped(setting: Setting, callers: int) -> Taken:
    settling = Settling(setting)
    async with setting.server() as ours, setting.echo() as echo:
        runs = await setting.new_runs(ours, callers)
        values, baseline = await alternate(
            setting.options.rounds,
            lambda: settling.after(client_rate(setting, ours, runs, callers)),
            lambda: unary_rate(setting, echo, runs),
        )
    return Taken(f"append-client-{callers}", values, baseline, settling.notes)


async def beside_relay(setting: Setting) -> list[Taken]:
    ours = setting.server_and_relay()
    return await _beside_echo(setting, "append-relay", ours, unary_rate, IN_FLIGHT)


async def streams(setting: Setting) -> list[Taken]:
    return await _beside_echo(setting, "append-stream", setting.server(), stream_rate, STREAMS)


async def _beside_echo(
    setting: Setting,
    figure: str,
    server: AbstractAsyncContextManager[Server],
    rate: Callable[[Setting, Server, list[str]], Any],
    count: int,
) -> list[Taken]:
    settling = Settling(setting)
    async with server as ours, setting.echo() as echo:
        runs = await setting.new_runs(ours, count)
        values, baseline = await alternate(
            setting.options.rounds,
            lambda: settling.after(rate(setting, ours, runs)),
            lambda: rate(setting, echo, runs),
        )
    return [Taken(figure, values, baseline, settling.notes)]


async def batches(setting: Setting) -> list[Taken]:
    settling, seconds = Settling(setting), setting.options.seconds
    async with setting.server() as ours:
        runs = await setting.new_runs(ours, BATCHES_IN_FLIGHT)
        bare = await setting.numbers(await setting.new_runs(ours, BATCHES_IN_FLIGHT))
        asked = setting.split(address=ours.address, runs=runs, batch=BATCH, seconds=seconds)
        for each in asked:
            each["in_flight"] = len(each["runs"])
        direct = setting.split(
            url=setting.url, schema="runstore", runs=bare, batch=BATCH, seconds=seconds
        )
        values, baseline = await alternate(
            setting.options.rounds,
            lambda: settling.after(setting.generators.rate("appends:batches", asked)),
            lambda: setting.generators.rate("direct:inserts", direct),
        )
    whole = settling.whole[1:]  # without the round that warmed up
    return [
        Taken("append-batch", values, baseline, settling.notes),
        Taken("append-batch-settled", whole, baseline),
    ]


async def latency(setting: Setting) -> list[Taken]:
    """Beside an echo and one transaction, measured after one another and added."""
    one, calls = setting.generators.one, setting.options.calls

    async def ours_ms() -> float:
        return await typical("appends:latency", address=ours.address, runs=runs, calls=calls)

    async def bare_ms() -> float:
        await setting.settled()
        echoed = await typical("appends:latency", address=echo.address, runs=runs, calls=calls)
        written = await typical(
            "direct:transactions", url=setting.url, schema="runstore", run=bare, calls=calls
        )
        parts.append((echoed, written))
        return echoed + written

    async def typical(job: str, **asked: object) -> float:
        return median((await one(job, **asked))["times"])

    parts: list[tuple[float, float]] = []
    async with setting.server() as ours, setting.echo() as echo:
        runs = await setting.new_runs(ours, 1)
        (bare,) = await setting.numbers(await setting.new_runs(ours, 1))
        values, baseline = await alternate(setting.options.rounds, ours_ms, bare_ms)
    echoed, written = (median(each) for each in zip(*parts, strict=True))
    notes = {"echo_ms": echoed, "transaction_ms": written}
    return [Taken("append-latency", values, baseline, notes)]


async def workers(setting: Setting) -> list[Taken]:
    """Two server processes beside one, over the same eight connections."""
    rate = partial(unary_rate, setting, connections=4)
    async with (
        setting.server("workers_2", workers=2) as two,
        setting.server("workers_1") as one,
    ):
        runs_of_two = await setting.new_runs(two, IN_FLIGHT)
        runs_of_one = await setting.new_runs(one, IN_FLIGHT)
        after_two, after_one = Settling(setting, "workers_2"), Settling(setting, "workers_1")
        values, baseline = await alternate(
            setting.options.rounds,
            lambda: after_two.after(rate(two, runs_of_two)),
            lambda: after_one.after(rate(one, runs_of_one)),
        )
    return [Taken("workers", values, baseline)]
