"""Steps of a LangGraph graph, over our saver and over LangGraph's own for Postgres."""

from __future__ import annotations

from runstore_storage.database.opening import quoted

from bench import used
from bench.figure import Taken, alternate
from bench.load import Answer
from bench.servers import Server
from bench.setting import Setting

OURS, THEIRS = "steps", "langgraph_steps"
DURABILITIES = ("async", "sync")


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
    cpu, their_cpu = used.totals(our_rounds[1:]), used.totals(their_rounds[1:])
    notes = {"ours": used.split(our_rounds[1:]), "theirs": used.split(their_rounds[1:])}
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
    before = used.seconds(setting, server)
    answer = await setting.generators.one(job, steps=steps, durability=durability, **asked)
    await setting.settled(OURS)
    each = used.milliseconds_each(before, used.seconds(setting, server), steps)
    rounds.append(answer | each | {"client": answer["cpu_milliseconds"]})
    milliseconds: float = answer["milliseconds"]
    return milliseconds
