"""The load generators: processes of their own, the same ones for ours and for the baseline."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

PROCESSES = 2

Answer = dict[str, Any]


class JobFailed(RuntimeError):
    """A generator could not do its job."""


@dataclass(frozen=True, slots=True)
class Generators:
    """Jobs are functions of `bench.jobs`, named "module:function"."""

    processes: Sequence[asyncio.subprocess.Process]

    async def one(self, job: str, **asked: object) -> Answer:
        """The first process does a job; its answer."""
        return await _ask(self.processes[0], job, asked)

    def alone(self, place: int) -> Generators:
        """One of them, to do jobs while the others do theirs."""
        return Generators([self.processes[place]])

    async def each(self, job: str, asked: Sequence[dict[str, object]]) -> list[Answer]:
        """One job a process, at the same time; never more jobs than processes."""
        pairs = zip(self.processes, asked, strict=False)
        return await asyncio.gather(*(_ask(process, job, one) for process, one in pairs))

    async def rate(self, job: str, asked: Sequence[dict[str, object]]) -> float:
        """What all together count a second."""
        return sum(each["count"] / each["seconds"] for each in await self.each(job, asked))


async def _ask(process: asyncio.subprocess.Process, job: str, asked: dict[str, object]) -> Answer:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"job": job, **asked}).encode() + b"\n")
    await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise JobFailed(f"the load generator died of {job}: see its traceback above")
    answer: Answer = json.loads(line)
    if "failed" in answer:
        raise JobFailed(f"{job}: {answer['failed']}")
    return answer


@asynccontextmanager
async def generators(
    count: int = PROCESSES, python: str = sys.executable
) -> AsyncIterator[Generators]:
    processes = [
        await asyncio.create_subprocess_exec(
            *(python, "-m", "bench.generator"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=1 << 26,
        )
        for _ in range(count)
    ]
    try:
        yield Generators(processes)
    finally:
        for process in processes:
            assert process.stdin
            process.stdin.close()
            await process.wait()
