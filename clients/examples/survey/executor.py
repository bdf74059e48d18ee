"""Runs a plan and records it; started again after a crash, it continues where it was.

    python -m clients.examples.survey.executor RUN [--target HOST:PORT]

A finished step is stored as a task write before its event is appended, so a resume repeats neither.
After every third step the whole state becomes a snapshot; unchanged parts are sent by hash.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import runstore

from clients.examples.survey import analysis, planner
from clients.examples.survey.planner import Step

STEPS_PER_SNAPSHOT = 3
PROJECT = "examples/survey"
FENCED_EXIT_CODE = 3


class Executor:
    """One writer of one run. `results` holds the results of the finished steps."""

    def __init__(self, resumed: runstore.AsyncResumed) -> None:
        self.run = resumed.run
        snapshot = resumed.snapshot
        self.snapshot_id = snapshot.snapshot_id if snapshot else ""
        self.results: dict[str, Any] = {}
        self.stored: dict[str, runstore.Ref] = {}
        plan: Any = [asdict(step) for step in planner.first_plan()]
        if snapshot:
            plan = snapshot.state["plan"].value()
            for name, part in snapshot.state.items():
                self.stored[name] = runstore.Ref(part.sha256)
                if name != "plan":
                    self.results[name] = part.value()
        self.plan = [Step(**{**step, "needs": tuple(step["needs"])}) for step in plan]
        self.since_snapshot = 0
        self.writes = resumed.claim.task_writes

    async def execute(self) -> None:
        """Run the rest of the plan and complete the run."""
        for write in self.writes:
            say(f"{write.task_id} was finished before the crash")
            await self.keep(write.task_id, write.payload.value())
        while step := planner.ready(self.plan, self.results):
            if step.kind == "ask":
                await self.ask(step)
                continue
            began = time.perf_counter()
            found = await asyncio.to_thread(self.work, step)
            await self.finish(step, {"found": found, "seconds": time.perf_counter() - began})
            if self.since_snapshot >= STEPS_PER_SNAPSHOT:
                await self.snapshot()
        report = {name: self.results[name]["found"] for name in self.results}
        await self.run.complete(
            runstore.Outcome.SUCCEEDED,
            {"report": report},
            plan_version_id=self.version,
            statistics={name: self.results[name]["seconds"] for name in self.results},
            final_snapshot=self.state(),
        )
        say("completed")

    def work(self, step: Step) -> Any:
        found = {
            step.package: self.results[step.node_id]["found"]
            for step in self.plan
            if step.kind == "analyse" and step.node_id in self.results
        }
        match step.kind:
            case "inventory":
                return analysis.inventory(planner.PACKAGES)
            case "analyse":
                return analysis.analyse(step.package)
            case "compare":
                return analysis.compare(found)
            case _:
                return analysis.look_into(step.package, found)

    async def finish(self, step: Step, result: Any) -> None:
        """Store the result first: once it is stored, no executor repeats this step."""
        write = runstore.TaskWrite(step.node_id, 0, result, snapshot_id=self.snapshot_id)
        await self.run.put_task_writes([write])
        await self.keep(step.node_id, result)
        say(f"{step.node_id} done")

    async def keep(self, node_id: str, result: Any) -> None:
        """Append the step's event; a repeated one is recognised by its id."""
        self.results[node_id] = result
        self.since_snapshot += 1
        await self.run.append(
            runstore.NewEvent(
                "step.finished",
                result,
                event_id=f"{node_id}:finished",
                node_id=node_id,
                actor="executor",
                usage=runstore.Usage(duration=timedelta(seconds=result["seconds"])),
            )
        )

    async def ask(self, step: Step) -> None:
        """Pause for a person; their answer changes the plan."""
        await self.snapshot(runstore.SnapshotReason.PAUSE)
        say("waits for a person")
        choices = self.results["compare"]["found"]["by_size"]
        async for event in self.run.events(follow=True, types=["human.answered"]):
            answer = event.payload.value()["package"] if event.payload else None
            if answer in choices:
                break
            say(f"{answer!r} is not a package of the survey; still waiting")
        self.results[step.node_id] = {"found": answer, "seconds": 0.0}
        self.plan = planner.replan(self.plan, answer)
        await self.snapshot(runstore.SnapshotReason.REPLAN)

    async def snapshot(
        self, reason: runstore.SnapshotReason = runstore.SnapshotReason.CHECKPOINT
    ) -> None:
        put = await self.run.snapshot(**self.state(reason))
        self.snapshot_id, self.since_snapshot = put.snapshot_id, 0
        say(f"snapshot at seq {put.seq}")

    def state(
        self, reason: runstore.SnapshotReason = runstore.SnapshotReason.FINAL
    ) -> runstore.SnapshotFields:
        """Everything that a resume needs."""
        values = self.results | {"plan": [asdict(step) for step in self.plan]}
        parts: dict[str, Any] = {}
        for name, value in values.items():
            payload = runstore.payload_of(value)
            ref = runstore.Ref(payload.sha256)
            parts[name] = ref if self.stored.get(name) == ref else payload
            self.stored[name] = ref
        return {
            "reason": reason,
            "state": parts,
            "plan_version_id": self.version,
            "parent_snapshot_id": self.snapshot_id,
            "nodes": [
                runstore.PlanNode(
                    step.node_id,
                    step.kind,
                    facets=[step.package] if step.package else [],
                    status="done" if step.node_id in self.results else "pending",
                )
                for step in self.plan
            ],
            "pending_node_ids": [
                step.node_id for step in self.plan if step.node_id not in self.results
            ],
        }

    @property
    def version(self) -> str:
        return "v2" if "ask" in self.results else "v1"


def say(text: str) -> None:
    print(f"  executor {os.getpid()}: {text}", flush=True)


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--target")
    given = parser.parse_args(arguments)
    async with runstore.connect(given.target, project=PROJECT) as client:
        await client.save_run("survey the standard library", run_id=given.run, tags=["demo"])
        resumed = await client.resume(given.run, actor=f"executor {os.getpid()}")
        say(f"claimed the run with epoch {resumed.run.writer_epoch}")
        try:
            await Executor(resumed).execute()
        # IdempotencyMismatch: a faster successor has stored a result under the same id already,
        # and known ids are checked before the writer's epoch.
        except (runstore.WriterFenced, runstore.IdempotencyMismatch) as error:
            say(f"refused: {error}")
            return FENCED_EXIT_CODE
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
