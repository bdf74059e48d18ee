"""Servers in processes of their own: ours as users start it, and the one that only echoes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Server:
    address: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What the process and its children have used."""
        return cpu_seconds(self.process)

    def resident_bytes(self) -> int:
        return sum(each.memory_info().rss for each in _family(self.process))


def cpu_seconds(process: psutil.Process) -> float:
    """What a process, its children and those of them that have ended have used."""
    used = 0.0
    for each in _family(process):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            used += times.user + times.system
    ended = process.cpu_times()
    return used + ended.children_user + ended.children_system


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


@asynccontextmanager
async def runstore(
    url: str, folder: Path, *, schema: str, workers: int = 1, **environment: str
) -> AsyncIterator[Server]:
    """`runstore serve` on a free port; its log is a file in the folder."""
    arguments = ("serve", "--port", "0", "--http-port", "0", "--workers", str(workers))
    given = {
        "RUNSTORE_DATABASE_URL": url,
        "RUNSTORE_DB_SCHEMA": schema,
        "RUNSTORE_DATA_DIR": str(folder / "server"),
        "RUNSTORE_LOG_LEVEL": "warning",
    }
    async with _started(
        ("-m", "runstore_server", *arguments), given | environment, folder, greetings=workers
    ) as server:
        yield server


@asynccontextmanager
async def relay(url: str, folder: Path, *, schema: str) -> AsyncIterator[Server]:
    """`runstore relay`, which publishes, counts and indexes beside servers that do not."""
    given = {"RUNSTORE_DATABASE_URL": url, "RUNSTORE_DB_SCHEMA": schema}
    async with _started(("-m", "runstore_server", "relay"), given, folder) as server:
        yield server


@asynccontextmanager
async def echo(folder: Path) -> AsyncIterator[Server]:
    """The bare baseline."""
    async with _started(("-m", "bench.echo"), {}, folder) as server:
        yield server


@asynccontextmanager
async def _started(
    arguments: tuple[str, ...], environment: dict[str, str], folder: Path, greetings: int = 1
) -> AsyncIterator[Server]:
    log = folder / f"{arguments[-1]}.log"
    with log.open("a") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout
    draining = None
    try:
        address = ""
        async with asyncio.timeout(START_SECONDS):
            while greetings:
                line = (await process.stdout.readline()).decode()
                if not line:
                    raise RuntimeError(f"{arguments} did not start:\n{log.read_text()}")
                if line.startswith("runstore "):
                    address = line.strip().removesuffix(" with TLS").split()[-1]
                    greetings -= 1
        draining = asyncio.create_task(_drain(process.stdout))
        yield Server(address, psutil.Process(process.pid))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if draining:
            await draining


async def _drain(lines: asyncio.StreamReader) -> None:
    while await lines.readline():
        pass
