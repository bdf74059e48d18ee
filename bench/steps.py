"""Steps of a LangGraph graph, over our saver and over LangGraph's own for Postgres."""

from __future__ import annotations

from statistics import median

from runstore_storage.database.opening import quoted

from bench.figure import Taken, alternate
from bench.load import Answer
from bench.servers import Server, cpu_seconds
from bench.setting import Setting

OURS, THEIRS = "steps", "langgraph_steps"
DURABILITIES = ("async", "sync")
PROCESSES = ("client", "server", "postgres")


async def beside_langgraph(setting: Setting) -> list[Taken]:
    """Time, processor time and RPCs of a step."""
    await setting.database.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(THEIRS)}")
    async with setting.server(OURS) as server:
        return [
            each
            for durability in DURABILITIES
            for each in await _measured(setting, server, durability)
        ]


async def _measured(setting: Setting, server: Server, durability: str) -> list[Taken]:
    async def ours() -> float:
        return await _round(
            setting, server, our_rounds, "steps:ours", durability, address=server.address
        )

    async def theirs() -> float:
        return await _round(
            setting,
            None,
            their_rounds,
            "steps:theirs",
            durability,
            url=setting.url,
            schema=THEIRS,
        )

    our_rounds: list[Answer] = []
    their_rounds: list[Answer] = []
    times, their_times = await alternate(setting.options.rounds, ours, theirs)
    cpu, their_cpu = _cpu(our_rounds[1:]), _cpu(their_rounds[1:])
    notes = {"ours": _split(our_rounds[1:]), "theirs": _split(their_rounds[1:])}
    return [
        Taken(f"step-{durability}", times, their_times),
        Taken(f"step-{durability}-cpu", cpu, their_cpu, notes=notes),
        Taken(f"step-{durability}-rpcs", [each["rpcs"] for each in our_rounds[1:]]),
    ]


async def _round(
    setting: Setting,
    server: Server | None,
    rounds: list[Answer],
    job: str,
    durability: str,
    **asked: object,
) -> float:
    """Milliseconds a step; adds to the rounds what the step used until the feed had settled."""
    steps = setting.options.calls
    before = _used(setting, server)
    answer = await setting.generators.one(job, steps=steps, durability=durability, **asked)
    await setting.settled(OURS)
    after = _used(setting, server)
    used = {name: 1000 * (after[name] - before[name]) / steps for name in after}
    rounds.append(answer | used | {"client": answer["cpu_milliseconds"]})
    milliseconds: float = answer["milliseconds"]
    return milliseconds


def _used(setting: Setting, server: Server | None) -> dict[str, float]:
    """Seconds of processor time; a server that idles beside the other side is not counted."""
    return {
        "server": server.cpu_seconds() if server else 0.0,
        "postgres": cpu_seconds(setting.postgres),
    }


def _cpu(rounds: list[Answer]) -> list[float]:
    return [sum(each[name] for name in PROCESSES) for each in rounds]


def _split(rounds: list[Answer]) -> dict[str, float]:
    """Each process's part."""
    return {name: round(median(each[name] for each in rounds), 2) for name in PROCESSES}
