"""Executes the scenarios with the Python client; README.md defines the vocabulary.

python python_runner.py --target HOST:PORT --scenarios FILE --project PREFIX --control URL
    --results FILE
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import dataclasses
import json
import urllib.request
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import runstore
from runstore import Payload, Ref

MOST_INLINE_BYTES = 4096
MOST_EXACT = 2**53 - 1
LONGEST_WAIT_SECONDS = 120
FOLLOW = {"heartbeat_seconds": 1.0}
PAYLOADS = ("plan", "payload", "provenance", "statistics", "metadata", "body")
NODE_PAYLOADS = ("input_schema", "output_schema", "provenance", "state")
Json = dict[str, Any]


# --- what is sent ---------------------------------------------------------------------------------


def bytes_of(spelled: Any) -> str:
    """A text: as it is, or as pieces and how often each."""
    if isinstance(spelled, str):
        return spelled
    return "".join(piece * times for piece, times in spelled["repeat"])


def payload(spelled: Json) -> Payload | Ref:
    if "sha256_of" in spelled:
        found = payload(spelled["sha256_of"])
        assert isinstance(found, Payload)
        return Ref(found.sha256)
    if "sha256" in spelled:
        return Ref(bytes.fromhex(spelled["sha256"]))
    kind = spelled.get("content_type", "")
    if "json" in spelled:
        return Payload(bytes_of(spelled["json"]), kind)
    return Payload(base64.b64decode(spelled["base64"]), kind)


def payloads(fields: Json, names: tuple[str, ...] = PAYLOADS) -> Json:
    return {name: payload(each) if name in names else each for name, each in fields.items()}


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def event(fields: Json) -> runstore.NewEvent:
    made = payloads(fields)
    if "usage" in made:
        usage = {name: int(value) for name, value in made["usage"].items()}
        spent = timedelta(microseconds=usage.pop("duration_micros", 0))
        made["usage"] = runstore.Usage(**usage, duration=spent)
    if "occurred_at" in made:
        made["occurred_at"] = time(made["occurred_at"])
    return runstore.NewEvent(**made)


def events(arguments: Json) -> list[runstore.NewEvent]:
    return [event(each) for each in arguments.pop("events", []) * arguments.pop("times", 1)]


def snapshot(fields: Json) -> Json:
    made = payloads(fields)
    if "reason" in made:
        made["reason"] = runstore.SnapshotReason[made["reason"]]
    if "state" in made:
        made["state"] = {name: payload(part) for name, part in made["state"].items()}
    if "nodes" in made:
        made["nodes"] = [
            runstore.PlanNode(**payloads(node, NODE_PAYLOADS)) for node in made["nodes"]
        ]
    return made


def writes(fields: list[Json]) -> list[runstore.TaskWrite]:
    return [runstore.TaskWrite(**payloads(each)) for each in fields]


def output(fields: Json) -> Json:
    made = payloads(fields)
    return {"payload": made.pop("payload", None), **made}


def completion(fields: Json) -> runstore.Completion:
    made = output(fields.get("output", {}))
    final = fields.get("final_snapshot")
    return runstore.Completion(
        runstore.Outcome[fields.get("outcome", "UNSPECIFIED")],
        made.pop("payload"),
        made,  # type: ignore[arg-type]  # what the scenarios say
        [event(each) for each in fields.get("events", [])],
        snapshot(final) if final else None,  # type: ignore[arg-type]  # what the scenarios say
    )


def query(fields: Json) -> runstore.RunQuery:
    made = dict(fields)
    if "statuses" in made:
        made["statuses"] = [runstore.RunStatus[each] for each in made["statuses"]]
    if "config" in made:
        made["config"] = runstore.ConfigFilter(**made["config"])
    return runstore.RunQuery(**made)


# --- what is seen ---------------------------------------------------------------------------------


def seen(value: Any) -> Any:
    """A value of the client as every runner writes it; what is empty is left out."""
    match value:
        case Payload():
            return seen_payload(value)
        case IntEnum():
            return value.name
        case bool() | str() | None:
            return value
        case int():
            return value if abs(value) <= MOST_EXACT else str(value)
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case Mapping():
            return pruned({name: seen(each) for name, each in value.items()})
        case list() | tuple():
            return [seen(each) for each in value]
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if "duration" in fields:
        fields["duration_micros"] = fields.pop("duration") // timedelta(microseconds=1)
    return seen(fields)


def pruned(fields: Json) -> Json:
    return {name: each for name, each in fields.items() if each not in (None, "", [], {})}


def seen_payload(value: Payload) -> Json:
    is_json = isinstance(value.content, str)
    shown: Json = {"content_type": value.content_type} if value.content_type else {}
    if len(value.data) > MOST_INLINE_BYTES:
        digest = sha256(value.data).hexdigest()
        return shown | {"is_json": is_json, "sha256": digest, "size": len(value.data)}
    if is_json:
        return shown | {"json": value.content}
    return shown | {"base64": base64.b64encode(value.data).decode()}


def seen_error(error: runstore.RunstoreError) -> Json:
    return pruned(
        {
            "type": type(error).__name__,
            "code": error.code.name,
            "reason": error.reason,
            "metadata": error.metadata,
            "violations": [
                {"field": field, "description": text} for field, text in error.violations
            ],
        }
    )


def shown_item(item: runstore.StreamItem) -> Json | None:
    match item:
        case runstore.Event():
            return {"event": item}
        case runstore.EndOfRun():
            return {"end_of_run": item}
    return None  # marks come when they come


# --- what is done ---------------------------------------------------------------------------------


class Watch:
    """A stream that is followed beside the steps."""

    def __init__(self, items: AsyncIterator[runstore.StreamItem]) -> None:
        self.items: list[Json] = []
        self._grown = asyncio.Condition()
        self._task = asyncio.create_task(self._watch(items))

    async def _watch(self, items: AsyncIterator[runstore.StreamItem]) -> None:
        async for item in items:
            if shown := shown_item(item):
                async with self._grown:
                    self.items.append(shown)
                    self._grown.notify_all()

    async def wait(self, count: int) -> None:
        async with self._grown:
            await asyncio.wait_for(
                self._grown.wait_for(lambda: len(self.items) >= count), LONGEST_WAIT_SECONDS
            )

    async def end(self) -> list[Json]:
        await asyncio.wait_for(self._task, LONGEST_WAIT_SECONDS)
        return self.items


class Runner:
    """Executes the steps of one scenario."""

    def __init__(self, client: runstore.AsyncClient, control: str) -> None:
        self._client = client
        self._control = control
        self._watches: dict[str, Watch] = {}

    def run(self, arguments: Json) -> runstore.AsyncRun:
        return self._client.run(
            arguments.pop("run_id"), writer_epoch=arguments.pop("writer_epoch", None)
        )

    async def save_run(self, a: Json) -> Any:
        a = payloads(a)
        if "external_ref" in a:
            a["external_ref"] = runstore.ExternalRef(**a["external_ref"])
        if "config_refs" in a:
            a["config_refs"] = [
                runstore.ConfigRef(**{**ref, "version": int(ref.get("version", 0))})
                for ref in a["config_refs"]
            ]
        if "completion" in a:
            a["completion"] = completion(a["completion"])
        run = await self._client.save_run(**a)
        return {"run_id": run.run_id, "writer_epoch": run.writer_epoch}

    async def get_run(self, a: Json) -> Any:
        return await self.run(a).get()

    async def list_runs(self, a: Json) -> Any:
        return {"runs": [run async for run in self._client.list_runs(query(a))]}

    async def append(self, a: Json) -> Any:
        return await self.run(a).append(event(a.pop("event")), **a)

    async def append_many(self, a: Json) -> Any:
        new = events(a)
        return {"events": await self.run(a).append_many(new, **a)}

    async def pipeline(self, a: Json) -> Any:
        new = events(a)
        run = self.run(a)
        async with self._client.appender(window=a["window"]) as appender:
            sent = [await appender.append(run, each) for each in new]
        return {"events": [each.result() for each in sent]}

    async def put_snapshot(self, a: Json) -> Any:
        run = self.run(a)
        return await run.snapshot(
            events=events(a),
            task_writes=writes(a.pop("task_writes", [])),
            **snapshot(a.pop("snapshot")),
            **a,
        )

    async def put_task_writes(self, a: Json) -> Any:
        new = writes(a.pop("writes"))
        return {"deduplicated": await self.run(a).put_task_writes(new, **a)}

    async def get_snapshot(self, a: Json) -> Any:
        return await self.run(a).get_snapshot(**a)

    async def list_snapshots(self, a: Json) -> Any:
        a = payloads(a)
        return {"snapshots": [each async for each in self.run(a).list_snapshots(**a)]}

    async def resume(self, a: Json) -> Any:
        resumed = await self._client.resume(**a)
        return {
            "writer_epoch": resumed.claim.writer_epoch,
            "deduplicated": resumed.claim.deduplicated,
            "run": resumed.claim.run,
            "snapshot_id": resumed.snapshot.snapshot_id if resumed.snapshot else "",
            "pending_node_ids": resumed.pending_node_ids,
            "task_writes": resumed.task_writes,
            "events": [each async for each in resumed.events()],
        }

    async def complete(self, a: Json) -> Any:
        run = self.run(a)
        guard = {"expected_seq": a.pop("expected_seq", None)}
        made = completion(a)
        return await run.complete(
            made.outcome,
            made.payload,
            events=made.events,
            final_snapshot=made.final_snapshot,
            **guard,
            **made.output,
        )

    async def get_output(self, a: Json) -> Any:
        return await self.run(a).output(**a)

    async def list_events(self, a: Json) -> Any:
        return await self.run(a).list_events(**a)

    async def stream(self, a: Json) -> Any:
        items = self.run(a).stream(**{"follow": False} | FOLLOW | a)
        return {"items": [shown async for item in items if (shown := shown_item(item))]}

    async def verify(self, a: Json) -> Any:
        return await self.run(a).verify(**a)

    async def watch(self, a: Json) -> Any:
        name = a.pop("watch")
        self._watches[name] = Watch(self.run(a).stream(**{"follow": True} | FOLLOW | a))
        return {}

    async def watch_until(self, a: Json) -> Any:
        await self._watches[a["watch"]].wait(a["count"])
        return {}

    async def watch_end(self, a: Json) -> Any:
        return {"items": await self._watches.pop(a["watch"]).end()}

    async def restart_server(self, a: Json) -> Any:
        request = urllib.request.Request(f"{self._control}/restart?signal={a['signal']}", b"")
        await asyncio.to_thread(urllib.request.urlopen, request)
        return {}

    async def feed_read(self, a: Json) -> Any:
        return await self._client.feed.read(**a)

    async def feed_follow(self, a: Json) -> Any:
        count, entries = a.pop("count"), []
        async for entry in self._client.feed.entries(**FOLLOW, **a):
            entries.append(entry)
            if len(entries) == count:
                break
        return {"entries": entries}

    async def feed_commit(self, a: Json) -> Any:
        return await self._client.feed.commit(a["consumer"], a["position"])

    async def feed_reset(self, a: Json) -> Any:
        return await self._client.feed.reset(a["consumer"], a["position"])

    async def feed_consumer(self, a: Json) -> Any:
        return await self._client.feed.consumer(a["consumer"])

    async def feed_consumers(self, a: Json) -> Any:
        return {"consumers": [each async for each in self._client.feed.consumers(**a)]}

    async def search(self, a: Json) -> Any:
        if "after" in a:
            a["after"] = (a["after"]["run_id"], a["after"]["seq"])
        hits = [hit async for hit in self._client.search(**a)]
        return {
            "hits": [
                {
                    "run_id": hit.run_id,
                    "seq": hit.seq,
                    "snippet": hit.snippet,
                    "marked": hit.marked(),
                    "event": hit.event,
                }
                for hit in hits
            ]
        }


def resolved(value: Any, known: Json) -> Any:
    """The arguments with what "$name.path" stands for."""
    match value:
        case str() if value.startswith("$"):
            name, *path = value[1:].split(".")
            found = known[name]
            for part in path:
                found = found[int(part)] if isinstance(found, list) else found[part]
            return found
        case dict():
            return {name: resolved(each, known) for name, each in value.items()}
        case list():
            return [resolved(each, known) for each in value]
    return value


async def execute(runner: Runner, step: Json, known: Json) -> Json:
    try:
        arguments = resolved(step.get("args", {}), known)
        result = seen(await getattr(runner, step["do"])(arguments))
    except runstore.RunstoreError as error:
        return {"error": seen_error(error)}
    except Exception as error:
        return {"failed": repr(error)}
    if "as" in step:
        known[step["as"]] = result
    return {"result": result}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("target", "scenarios", "project", "control", "results"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    file = json.loads(Path(given.scenarios).read_text())
    results = asyncio.run(execute_all(file, given))
    Path(given.results).write_text(json.dumps(results))


async def execute_all(file: Json, given: argparse.Namespace) -> Json:
    results: Json = {}
    for scenario in file["scenarios"]:
        cases = file["payloads"] if scenario.get("each") == "payloads" else {"": None}
        for case, bound in cases.items():
            name = f"{scenario['name']}: {case}" if case else scenario["name"]
            project = f"{given.project}/{len(results)}"
            async with runstore.connect(given.target, project=project, timeout=60) as client:
                known: Json = {"project": project, "payload": bound}
                runner = Runner(client, given.control)
                results[name] = [await execute(runner, step, known) for step in scenario["steps"]]
    return results


if __name__ == "__main__":
    main()
