"""Arguments that a call cannot take are refused by name before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
import runstore
from clients.script import Script
from runstore import InvalidArgument, NewEvent, PlanNode, RunQuery, RunStatus, TaskWrite

Client = runstore.AsyncClient


async def all_of(items: Any) -> list[Any]:
    return [item async for item in items]


WRONG: dict[str, tuple[Callable[[Client], Any], str, str]] = {
    # Strings taken for sequences.
    "tags of a run": (
        lambda c: c.save_run(tags="abc"),
        "tags",
        "must be a sequence of str, not str",
    ),
    "tags of an event": (
        lambda c: c.run("r").append("t", tags="abc"),
        "tags",
        "must be a sequence of str, not str",
    ),
    "tags of an event in a list": (
        lambda c: c.run("r").append_many([NewEvent("t"), NewEvent("t", tags="abc")]),
        "events[1].tags",
        "must be a sequence of str, not str",
    ),
    "a tag that is no string": (
        lambda c: c.save_run(tags=["a", 5]),
        "tags[1]",
        "must be str, not int",
    ),
    "a map for tags": (
        lambda c: c.save_run(tags={"a": 1}),
        "tags",
        "must be a sequence of str, not dict",
    ),
    "a number for tags": (
        lambda c: c.save_run(tags=5),
        "tags",
        "must be a sequence of str, not int",
    ),
    "tags of a query": (lambda c: all_of(c.list_runs(RunQuery(tags="abc"))), "tags", "sequence"),
    "any_tags": (lambda c: all_of(c.list_runs(RunQuery(any_tags="abc"))), "any_tags", "sequence"),
    "one status": (
        lambda c: all_of(c.list_runs(RunQuery(statuses=RunStatus.RUNNING))),
        "statuses",
        "must be a sequence of RunStatus, not RunStatus",
    ),
    "a word for a status": (
        lambda c: all_of(c.list_runs(RunQuery(statuses=["running"]))),
        "statuses[0]",
        "must be RunStatus, not str",
    ),
    "types of a stream": (lambda c: all_of(c.run("r").stream(types="abc")), "types", "sequence"),
    "types of a page": (lambda c: c.run("r").list_events(types="abc"), "types", "sequence"),
    "types of the feed": (lambda c: c.feed.read(types="abc"), "types", "sequence"),
    "types of a feed's stream": (lambda c: all_of(c.feed.follow(types="abc")), "types", "sequence"),
    "run_ids of a search": (lambda c: all_of(c.search("x", run_ids="abc")), "run_ids", "sequence"),
    "models of statistics": (lambda c: all_of(c.statistics(models="abc")), "models", "sequence"),
    "one dimension": (lambda c: all_of(c.statistics("model")), "by", "must be a sequence of"),
    "facets": (
        lambda c: c.run("r").snapshot(nodes=[PlanNode("n", facets="abc")]),
        "nodes[0].facets",
        "sequence",
    ),
    "pending_node_ids": (
        lambda c: c.run("r").snapshot(pending_node_ids="abc"),
        "pending_node_ids",
        "sequence",
    ),
    "snapshot_ids": (lambda c: c.run("r").delete_snapshots("abc"), "snapshot_ids", "sequence"),
    "labels of a version": (
        lambda c: c.configs.register("prompt", "p", "x", labels="prod"),
        "labels",
        "sequence",
    ),
    "events": (lambda c: c.run("r").append_many("abc"), "events", "must be a sequence of NewEvent"),
    # Values of another type.
    "a number for a run": (lambda c: c.run(5).get(), "run_id", "must be str, not int"),
    "a number for a resumed run": (lambda c: c.resume(5), "run_id", "must be str, not int"),
    "bytes for a string": (lambda c: c.save_run(b"goal"), "objective", "must be str, not bytes"),
    "a lone surrogate": (lambda c: c.save_run("\ud800"), "objective", "is not Unicode text"),
    "a text for a time": (
        lambda c: c.run("r").append("t", occurred_at="2026-01-01"),
        "occurred_at",
        "must be datetime, not str",
    ),
    "a time without a zone": (
        lambda c: c.run("r").append("t", occurred_at=datetime(2026, 1, 1)),
        "occurred_at",
        "must have a time zone",
    ),
    "a time in a query": (
        lambda c: all_of(c.list_runs(RunQuery(created_from="2026"))),
        "created_from",
        "must be datetime, not str",
    ),
    "a text for a day": (
        lambda c: all_of(c.statistics(from_day="2026")),
        "from_day",
        "must be date",
    ),
    "a time for a day": (
        lambda c: all_of(c.statistics(to_day=datetime.now().astimezone())),
        "to_day",
        "must be date, not datetime",
    ),
    "an unknown dimension": (
        lambda c: all_of(c.statistics(["colour"])),
        "by[0]",
        "must be one of run, node, model, tool, type, day, is 'colour'",
    ),
    "a dict for an outcome": (
        lambda c: c.run("r").complete({"answer": 42}),
        "outcome",
        "must be Outcome, not dict",
    ),
    "a word for an outcome": (
        lambda c: c.run("r").complete("failed"),
        "outcome",
        "must be Outcome",
    ),
    "a dict for an event": (
        lambda c: c.run("r").append({"type": "t"}),
        "event",
        "or a NewEvent, not dict",
    ),
    "dicts for events": (
        lambda c: c.run("r").append_many([{"type": "t"}]),
        "events[0]",
        "must be NewEvent, not dict",
    ),
    "fields beside an event": (
        lambda c: c.run("r").append(NewEvent("t"), {"x": 1}),
        "event",
        "in it",
    ),
    "a dict for usage": (
        lambda c: c.run("r").append("t", usage={"input_tokens": 1}),
        "usage",
        "must be Usage, not dict",
    ),
    "seconds for a duration": (
        lambda c: c.run("r").append("t", usage=runstore.Usage(duration=1.5)),
        "usage.duration",
        "must be timedelta, not float",
    ),
    "a part of a token": (
        lambda c: c.run("r").append("t", usage=runstore.Usage(input_tokens=1.5)),
        "usage.input_tokens",
        "must be int, not float",
    ),
    "a number below 64 bits": (
        lambda c: c.run("r").append("t", expected_seq=-(2**63) - 1),
        "expected_seq",
        "must be -9223372036854775808..9223372036854775807, is -9223372036854775809",
    ),
    "a number beyond 64 bits": (
        lambda c: c.run("r").append("t", expected_seq=2**63),
        "expected_seq",
        "must be -9223372036854775808..9223372036854775807",
    ),
    "a text for a seq": (lambda c: c.run("r").replay("7"), "at_seq", "must be int, not str"),
    "a text for a stream's start": (
        lambda c: all_of(c.run("r").events("7")),
        "from_seq",
        "must be int, not str",
    ),
    "a list for labels": (
        lambda c: c.save_run(labels=["a"]),
        "labels",
        "must be a mapping, not list",
    ),
    "a number for a label": (
        lambda c: c.save_run(labels={"a": 1}),
        "labels['a']",
        "must be str, not int",
    ),
    "a dict for external_ref": (
        lambda c: c.save_run(external_ref={"system": "s"}),
        "external_ref",
        "must be ExternalRef, not dict",
    ),
    "strings for config_refs": (
        lambda c: c.save_run(config_refs=["prompt/p"]),
        "config_refs[0]",
        "must be ConfigRef, not str",
    ),
    "a dict for a completion": (
        lambda c: c.save_run(completion={}),
        "completion",
        "must be Completion",
    ),
    "a string for a query": (
        lambda c: all_of(c.list_runs("failed")),
        "query",
        "must be RunQuery, not str",
    ),
    "a list for a state": (
        lambda c: c.run("r").snapshot(state=[1]),
        "state",
        "must be a mapping, not list",
    ),
    "dicts for nodes": (
        lambda c: c.run("r").snapshot(nodes=[{"node_id": "n"}]),
        "nodes[0]",
        "must be PlanNode, not dict",
    ),
    "a word for a reason": (
        lambda c: c.run("r").snapshot(reason="pause"),
        "reason",
        "must be SnapshotReason, not str",
    ),
    "a dict for a task write": (
        lambda c: c.run("r").put_task_writes([{"task_id": "t"}]),
        "writes[0]",
        "must be TaskWrite, not dict",
    ),
    "a number for a task": (
        lambda c: c.run("r").put_task_writes([TaskWrite(5)]),
        "writes[0].task_id",
        "must be str, not int",
    ),
    "hexadecimal for a hash": (
        lambda c: c.run("r").snapshot(state={"a": runstore.Ref("00ff")}),
        "state['a'].ref",
        "must be bytes, not str",
    ),
    "a number for a payload's content": (
        lambda c: c.run("r").append("t", runstore.Payload(5)),
        "payload.content",
        "must be str or bytes, not int",
    ),
    "a final snapshot": (
        lambda c: c.run("r").complete(final_snapshot={"pending_node_ids": "abc"}),
        "final_snapshot.pending_node_ids",
        "sequence",
    ),
    "an event's place": (
        lambda c: all_of(c.search("x", after="run")),
        "after",
        "must be tuple, not str",
    ),
    "seconds to wait": (
        lambda c: all_of(c.search("x", wait_seconds="5")),
        "wait_seconds",
        "number of seconds",
    ),
    "a heartbeat": (
        lambda c: all_of(c.run("r").events(follow=True, heartbeat_seconds=float("inf"))),
        "heartbeat_seconds",
        "is too long",
    ),
    "text for an artifact": (lambda c: c.artifacts.upload("r", "a", "text"), "data", "encode it"),
    "one grant": (
        lambda c: c.admin.create_token("ci", "reader@acme"),
        "grants",
        "must be a sequence of Grant, not str",
    ),
    "a grant without projects": (
        lambda c: c.admin.create_token("ci", ["reader@acme", "writer@"]),
        "grants[1]",
        "must be ROLE@PROJECTS with a role of recorder, reader, writer, admin, operator, is",
    ),
    "a grant of an unknown role": (
        lambda c: c.admin.create_token("ci", ["owner@acme"]),
        "grants[0]",
        "is 'owner@acme'",
    ),
    "a pair for a grant": (
        lambda c: c.admin.create_token("ci", [("reader", "acme")]),
        "grants[0]",
        "must be Grant, not tuple",
    ),
    "a word for a role": (
        lambda c: c.admin.create_token("ci", [runstore.Grant("reader", "acme")]),
        "grants[0].role",
        "must be Role, not str",
    ),
    "days for a lifetime": (
        lambda c: c.admin.create_token("ci", ["reader@acme"], lifetime=90),
        "lifetime",
        "must be timedelta, not int",
    ),
    "a text for a limit": (
        lambda c: c.admin.set_limits(streams="7"),
        "streams",
        "must be int, not str",
    ),
    "a number for an artifact": (lambda c: c.artifacts.upload("r", "a", 5), "data", "not int"),
    "a window without room": (lambda c: c.appender(window=0), "window", "must be at least 1, is 0"),
    # Names that no argument has.
    "an unknown field of a run": (
        lambda c: c.save_run(tag=["a"]),
        "tag",
        "is unknown here; there are",
    ),
    "an unknown field of an event": (
        lambda c: c.run("r").append("t", kind="x"),
        "kind",
        "is unknown",
    ),
    "an unknown field of a snapshot": (
        lambda c: c.run("r").snapshot(stat={}),
        "stat",
        "is unknown",
    ),
    "an unknown field of an output": (
        lambda c: c.run("r").complete(result=1),
        "result",
        "is unknown",
    ),
    "an unknown field of a page": (
        lambda c: c.run("r").list_events(type="t"),
        "type",
        "is unknown",
    ),
    "an unknown field of a stream": (
        lambda c: all_of(c.run("r").events(type="t")),
        "type",
        "is unknown",
    ),
    "an unknown field of a search": (
        lambda c: all_of(c.search("x", run_id="r")),
        "run_id",
        "is unknown",
    ),
    "an unknown field of statistics": (
        lambda c: all_of(c.statistics(tag="t")),
        "tag",
        "is unknown",
    ),
    "an unknown field of the feed": (lambda c: c.feed.read(type="t"), "type", "is unknown"),
    "an unknown field of a fork": (lambda c: c.run("r").fork(tag="t"), "tag", "is unknown"),
    "an unknown field of a version": (
        lambda c: c.configs.register("prompt", "p", "x", label="prod"),
        "label",
        "is unknown",
    ),
    "an unknown selector": (
        lambda c: c.configs.get("prompt", "p", number=1),
        "number",
        "is unknown",
    ),
    "two selectors": (
        lambda c: c.configs.get("prompt", "p", version=1, label="a"),
        "version and label",
        "one",
    ),
    "two snapshots": (
        lambda c: c.run("r").get_snapshot("s", at_seq=1),
        "snapshot_id and at_seq",
        "only one",
    ),
    "an unknown field of an artifact": (lambda c: c.artifacts.get(id="a"), "id", "is unknown"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_argument_is_refused_by_its_name_and_sends_nothing(
    script: Script, name: str
) -> None:
    call, field, problem = WRONG[name]

    async with runstore.connect(script.address, timeout=1) as client:
        with pytest.raises(InvalidArgument) as refused:
            await call(client)

    assert refused.value.field == field
    assert problem in refused.value.problem
    assert (script.requests, script.asked) == ([], [])


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
async def test_every_number_of_64_bits_is_sent(script: Script, number: int) -> None:
    script.calls = [runstore.v1.run_service_pb2.AppendEventResponse()]
    async with runstore.connect(script.address) as client:
        await client.run("r").append("t", expected_seq=number)

    assert script.requests[0].expected_seq == number


async def test_the_synchronous_client_refuses_the_same(script: Script) -> None:
    def use() -> None:
        with runstore.Client(script.address) as client:
            client.run("r").append("t", tags="abc")

    with pytest.raises(InvalidArgument, match="tags: must be a sequence of str, not str"):
        await asyncio.to_thread(use)


@pytest.mark.parametrize(
    "tags", [["a", "b"], ("a", "b"), iter(["a", "b"]), dict.fromkeys("ab").keys()]
)
async def test_every_other_iterable_is_a_sequence(script: Script, tags: Any) -> None:
    script.calls = [runstore.v1.run_service_pb2.AppendEventResponse()]
    async with runstore.connect(script.address) as client:
        await client.run("r").append("t", tags=tags)

    assert list(script.requests[0].event.tags) == ["a", "b"]


async def test_a_day_is_a_date(script: Script) -> None:
    assert (
        runstore.calls.statistics.get_statistics(
            "p", ["day"], {"from_day": date(2026, 1, 2)}, 1, ""
        ).request.filter.from_day
        == "2026-01-02"
    )
