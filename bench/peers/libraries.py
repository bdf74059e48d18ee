"""Libraries that record an agent's steps in the same Postgres, from the agent's own process.

They are installed in an environment of their own, by `make bench BENCH="--only peers"`. What is not
installed, or does not work, is not measured, and the bench says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench import used
from bench.appends import Settling
from bench.figure import Figure, Taken, alternate, say
from bench.load import Answer, Generators, JobFailed, generators
from bench.machine import ROOT
from bench.servers import Server
from bench.setting import Setting

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
WRITERS = (32, 1)


@dataclass(frozen=True, slots=True)
class Library:
    """A function of `bench.jobs`, and what it does again and again."""

    job: str
    operation: str


LIBRARIES = {
    "dbos": Library("peers.dbos:steps", "DBOS, a step"),
    "adk": Library("peers.adk:appends", "Google ADK, append_event"),
    "llama-agents": Library("peers.llama_agents:appends", "llama-agents, append_event"),
    "openai-agents": Library("peers.openai_agents:adds", "OpenAI Agents, add_items"),
    "langgraph": Library("peers.langgraph:steps", "LangGraph, aput_writes and aput"),
}


def figures() -> dict[str, Figure]:
    """By library and number of writers: the rate, and the processor time."""
    return {
        f"peer-{name}-{writers}{of}": figure
        for writers in WRITERS
        for name, library in LIBRARIES.items()
        for of, figure in {
            "": Figure(f"append, Python client, {writers} in flight", "/s", library.operation),
            "-cpu": Figure("the same, CPU of client, server and Postgres", "ms", library.operation),
        }.items()
    }


async def beside(setting: Setting) -> list[Taken]:
    """`append` of one Python client, beside each library in one process, by as many writers."""
    if not PYTHON.exists():
        say('not measured: the peers, which make bench BENCH="--only peers" installs')
        return []
    async with setting.server("peers") as ours:
        return [each for name in LIBRARIES for each in await _beside(setting, ours, name)]


async def _beside(setting: Setting, ours: Server, name: str) -> list[Taken]:
    taken: list[Taken] = []
    async with generators(1, str(PYTHON)) as theirs:
        try:
            for writers in WRITERS:
                taken += await _measured(setting, ours, theirs, name, writers)
        except JobFailed as failure:
            say(f"not measured: {failure}")
    return taken


async def _measured(
    setting: Setting, ours: Server, theirs: Generators, name: str, writers: int
) -> list[Taken]:
    runs = await setting.new_runs(ours, writers)
    settling = Settling(setting, "peers")
    asked = {"seconds": setting.options.seconds}
    our_rounds: list[Answer] = []
    their_rounds: list[Answer] = []

    async def appends() -> float:
        before = used.seconds(setting, ours)
        answer = await settling.after(
            setting.generators.one(
                "clients:appends", address=ours.address, runs=runs, callers=writers, **asked
            )
        )
        return _noted(our_rounds, answer, before, used.seconds(setting, ours))

    async def operations() -> float:
        before = used.seconds(setting, None)
        answer = await theirs.one(LIBRARIES[name].job, url=setting.url, writers=writers, **asked)
        return _noted(their_rounds, answer, before, used.seconds(setting, None))

    rates, their_rates = await alternate(setting.options.rounds, appends, operations)
    parts = {"ours": used.split(our_rounds[1:]), "theirs": used.split(their_rounds[1:])}
    say(f"{LIBRARIES[name].operation}, {writers} writers, CPU ms: {parts}")
    key = f"peer-{name}-{writers}"
    return [
        Taken(key, rates, their_rates, settling.notes),
        Taken(f"{key}-cpu", used.totals(our_rounds[1:]), used.totals(their_rounds[1:]), parts),
    ]


def _noted(rounds: list[Answer], answer: Answer, before: used.Used, after: used.Used) -> float:
    """The round's rate; adds what each of its operations used."""
    count = answer["count"]
    each = used.milliseconds_each(before, after, count)
    rounds.append(each | {"client": 1000 * answer["cpu_seconds"] / count})
    rate: float = count / answer["seconds"]
    return rate
