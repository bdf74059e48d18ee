"""Appends through the Python client as it is shipped."""

from __future__ import annotations

from functools import cache, partial
from itertools import cycle
from typing import Any

import runstore

from bench.jobs.appends import PROJECT
from bench.jobs.repeating import repeated
from bench.payloads import event


@cache
def client(address: str) -> runstore.AsyncClient:
    return runstore.connect(address, project=PROJECT)


async def appends(address: str, runs: list[str], callers: int, seconds: float) -> dict[str, Any]:
    """`append` by so many callers of one client, each in a run of its own as far as there are."""

    async def append(run: runstore.AsyncRun) -> int:
        await run.append(_new_event())
        return 1

    handles = [client(address).run(run_id) for run_id in runs]
    works = [partial(append, run) for _, run in zip(range(callers), cycle(handles), strict=False)]
    return await repeated(works, seconds)


def _new_event() -> runstore.NewEvent:
    made = event()
    return runstore.NewEvent(
        made.type,
        payload=runstore.Payload(made.payload.json),
        tool=made.tool,
        event_id=made.event_id,
    )
