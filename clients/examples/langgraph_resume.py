"""Watch a LangGraph graph survive SIGKILL: finished tasks are not run again.

    python -m clients.examples.langgraph_resume [host:port]

Without an address it starts a server of its own.
"""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Send
from runstore import testing
from runstore.langgraph import RunstoreSaver

PROJECT = "examples/langgraph"
THREAD: Any = {"configurable": {"thread_id": f"report-{os.getpid()}"}}
SOURCES = ("alpha", "beta", "gamma", "delta")
# The first worker gets no answer from these.
SILENT = {"gamma", "delta"}
STORED_SECONDS = 60.0


class Report(TypedDict):
    findings: Annotated[list[str], operator.add]
    summary: str


class Source(TypedDict):
    name: str
    answers: bool


def graph_of(saver: RunstoreSaver, *, answers: bool) -> Any:
    """Read all sources in parallel, then write the summary."""

    async def plan(_: Report) -> dict[str, Any]:
        return {}

    async def read(source: Source) -> dict[str, Any]:
        print(f"   reads {source['name']}", flush=True)
        if source["name"] in SILENT and not answers:
            await asyncio.Event().wait()
        return {"findings": [f"{source['name']} (read by worker {os.getpid()})"]}

    async def write(report: Report) -> dict[str, Any]:
        print("   writes the summary", flush=True)
        return {"summary": f"{len(report['findings'])} sources were read"}

    def sources(_: Report) -> list[Send]:
        return [Send("read", {"name": name, "answers": answers}) for name in SOURCES]

    builder = StateGraph(Report)
    builder.add_node("plan", plan)
    builder.add_node("read", read)
    builder.add_node("write", write)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", sources, ["read"])
    builder.add_edge("read", "write")
    return builder.compile(checkpointer=saver)


async def work(target: str, thread_id: str, kind: str) -> None:
    """A worker: begins the thread, or continues it."""
    config: Any = {"configurable": {"thread_id": thread_id}}
    async with RunstoreSaver(target, project=PROJECT) as saver:
        graph = graph_of(saver, answers=kind == "resume")
        given = {"findings": [], "summary": ""} if kind == "begin" else None
        report = await graph.ainvoke(given, config)
    print(f"   {report['summary']}:")
    for finding in report["findings"]:
        print(f"   - {finding}")


def start(target: str, kind: str) -> subprocess.Popen[bytes]:
    thread_id = THREAD["configurable"]["thread_id"]
    command = [sys.executable, "-m", "clients.examples.langgraph_resume"]
    return subprocess.Popen([*command, target, thread_id, kind])


def wait_for_results(saver: RunstoreSaver, wanted: int) -> list[str]:
    """The stored findings, once there are `wanted` of them."""
    give_up_at = time.monotonic() + STORED_SECONDS
    while time.monotonic() < give_up_at:
        found = saver.get_tuple(THREAD)
        writes = found.pending_writes or [] if found else []
        findings = [each for _, channel, value in writes if channel == "findings" for each in value]
        if len(findings) >= wanted:
            return findings
        time.sleep(0.02)
    raise SystemExit("the first worker stored nothing")


@contextmanager
def server(arguments: list[str]) -> Iterator[str]:
    if arguments:
        yield arguments[0]
    else:
        with testing.server() as address:
            yield address


def main(arguments: list[str]) -> None:
    with server(arguments) as target, RunstoreSaver(target, project=PROJECT) as saver:
        print("== worker 1 asks four sources; two of them never answer", flush=True)
        first = start(target, "begin")
        stored = wait_for_results(saver, len(SOURCES) - len(SILENT))
        first.send_signal(signal.SIGKILL)
        print(f"== worker 1 is killed: exit code {first.wait()}; stored are", flush=True)
        for finding in stored:
            print(f"   - {finding}", flush=True)
        print("== worker 2 continues the thread", flush=True)
        second = start(target, "resume")
        if second.wait():
            raise SystemExit("worker 2 failed")
        steps = [each.metadata["step"] for each in saver.list(THREAD)]
        print(f"== the thread has {len(steps)} checkpoints, the last of step {max(steps)}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(work(*sys.argv[1:]))
    else:
        main(sys.argv[1:])
