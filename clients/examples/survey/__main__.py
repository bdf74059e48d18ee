"""Watch a run survive its executors: one is killed, one freezes and is fenced, one finishes."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import runstore

from clients.examples.survey.executor import FENCED_EXIT_CODE, PROJECT

FOLDER = Path(".demo")
RUN = "survey-1"
# How many steps are finished when an executor is killed, and when the next one is frozen.
STEPS_UNTIL_KILL = 3
STEPS_UNTIL_FREEZE = 5
ANSWER = "asyncio"
TAIL = 8


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A server on an embedded Postgres in a fresh folder; yields its address."""
    with _fresh_log() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runstore_server", "dev"),
            *("--data-dir", str(FOLDER / "data"), "--port", "0", "--no-http"),
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout
        greeting = (await process.stdout.readline()).decode()
        found = re.search(r"serves (\S+)", greeting)
        if not found:
            raise SystemExit(f"the server did not start: see {FOLDER / 'server.log'}")
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _fresh_log() -> IO[str]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    return (FOLDER / "server.log").open("w")


async def start_executor(target: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "clients.examples.survey.executor", RUN, "--target", target)
    )


class Watcher:
    """Follows the run from before its first event; `until` waits for events to arrive."""

    def __init__(self, run: runstore.AsyncRun) -> None:
        self.seen: list[runstore.Event] = []
        self._grew = asyncio.Condition()
        self._run = run

    async def watch(self) -> None:
        async for event in self._run.events(follow=True, wait_for_run=True):
            async with self._grew:
                self.seen.append(event)
                self._grew.notify_all()

    def count(self, type_: str) -> int:
        return sum(event.type == type_ for event in self.seen)

    async def until(self, type_: str, count: int = 1) -> None:
        async with self._grew:
            await self._grew.wait_for(lambda: self.count(type_) >= count)


def ask(choices: list[str]) -> str:
    """The person's answer, or a fixed one if there is no terminal."""
    question = f"  which package should be looked into? {', '.join(choices)} [{ANSWER}] "
    if not sys.stdin.isatty():
        print(f"{question}\n  (no terminal: answering {ANSWER})")
        return ANSWER
    return input(question).strip() or ANSWER


async def survey(client: runstore.AsyncClient, target: str) -> Watcher:
    run = client.run(RUN)
    watcher = Watcher(run)
    watching = asyncio.create_task(watcher.watch())

    title("an executor begins, and is killed in the middle (SIGKILL)")
    first = await start_executor(target)
    await watcher.until("step.finished", STEPS_UNTIL_KILL)
    first.kill()
    await first.wait()

    title("a second one resumes from the latest snapshot, and freezes (SIGSTOP)")
    second = await start_executor(target)
    await watcher.until("step.finished", STEPS_UNTIL_FREEZE)
    second.send_signal(signal.SIGSTOP)

    title("a third one claims the run; the second wakes up (SIGCONT) and is refused")
    third = await start_executor(target)
    await watcher.until("run.resumed", 3)
    # The third is held, so that the second meets its lost epoch before the third's next result.
    third.send_signal(signal.SIGSTOP)
    second.send_signal(signal.SIGCONT)
    code = await second.wait()
    assert code == FENCED_EXIT_CODE, f"the frozen executor ended with {code}"
    third.send_signal(signal.SIGCONT)

    await watcher.until("run.paused")
    title("the run waits for a person")
    compared = next(e for e in watcher.seen if e.node_id == "compare")
    assert compared.payload
    answer = await asyncio.to_thread(ask, compared.payload.value()["found"]["by_size"])
    await run.append("human.answered", {"package": answer}, actor="person")
    assert await third.wait() == 0
    await watching
    return watcher


async def main() -> None:
    title("starting a server on an embedded Postgres")
    async with server() as target, runstore.connect(target, project=PROJECT) as client:
        print(f"  {target}, data in {FOLDER / 'data'}")
        watcher = await survey(client, target)
        for what, command in (
            ("the timeline of the run", "events"),
            ("where it stands", "show"),
            ("its hash chain", "verify"),
        ):
            title(f"{what}: runstore runs {command} {RUN}")
            await (await runstore_command("runs", command, RUN, target)).wait()
        title(f"the last {TAIL} events of the stream that watched all of it live")
        for event in watcher.seen[-TAIL:]:
            print(f"  {event.seq:>4} {event.type:<16} {event.node_id or event.actor}")
        seqs = [event.seq for event in watcher.seen]
        steps = [event.node_id for event in watcher.seen if event.type == "step.finished"]
        assert seqs == list(range(1, len(seqs) + 1)), "the stream lost or repeated an event"
        assert len(steps) == len(set(steps)), "a step was done twice"
        print(f"\n{len(seqs)} events seen, each once; {len(steps)} steps, none done twice.")


async def runstore_command(*arguments: str) -> asyncio.subprocess.Process:
    *command, target = arguments
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runstore_server", *command),
        *("--target", target, "--project", PROJECT),
    )


if __name__ == "__main__":
    asyncio.run(main())
