"""A write whose answer is lost is sent again as it was, with the ids that make that safe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import runstore
from runstore import Completion, NewEvent, SeqRange, TaskWrite

sys.path.insert(0, str(Path(__file__).parents[2] / "clients" / "conformance"))

from lossy import ID_PATHS, WRITES, LossyServer, lossy_server

Call = Callable[[Any], Any]

# How each write is made, without any id that the client could make itself.
CALLS: dict[str, Call] = {
    "AppendEvent": lambda client: client.run("run").append("tick"),
    "AppendEvents": lambda client: client.run("run").append_many([NewEvent("a"), NewEvent("b")]),
    "CommitPosition": lambda client: client.feed.commit("reader", 0),
    "CompleteRun": lambda client: client.run("run").complete(
        events=[NewEvent("last")], final_snapshot={"state": {"a": 1}}
    ),
    "CreateToken": lambda client: client.admin.create_token("ci", ["reader@acme/*"]),
    "DeleteSnapshots": lambda client: client.run("run").delete_snapshots(["snapshot"]),
    "EraseEvents": lambda client: client.admin.erase_events("run", [SeqRange(1, 1)], "case 7"),
    "EraseSubject": lambda client: client.admin.erase_subject("ann", "case 7"),
    "ForkRun": lambda client: client.run("run").fork(),
    "LinkArtifact": lambda client: client.artifacts.link("run", "page", "https://example.com"),
    "PlaceHold": lambda client: client.admin.place_hold("case 7", run_id="run"),
    "PutPolicy": lambda client: client.admin.put_policy(
        runstore.Policy("p", keep_run=timedelta(days=1)), "case 7"
    ),
    "PutSnapshot": lambda client: client.run("run").snapshot(
        state={"a": 1}, events=[NewEvent("step")]
    ),
    "PutTaskWrites": lambda client: client.run("run").put_task_writes(
        [TaskWrite("task", 0, snapshot_id="snapshot")]
    ),
    "RegisterVersion": lambda client: client.configs.register("prompt", "new", "body"),
    "RemoveLabel": lambda client: client.configs.remove_label("prompt", "greeting", "live"),
    "ResetConsumer": lambda client: client.feed.reset("reader"),
    "ResumeRun": lambda client: client.resume("run"),
    "SaveRun": lambda client: client.save_run(
        "objective", completion=Completion(events=[NewEvent("last")])
    ),
    "SetLabel": lambda client: client.configs.set_label("prompt", "greeting", "canary", 1),
    "SetLimits": lambda client: client.admin.set_limits(streams=7),
    "UploadArtifact": lambda client: client.artifacts.upload("run", "report", b"bytes"),
}


async def by_async(address: str, project: str, call: Call) -> Any:
    async with runstore.connect(address, project=project, timeout=30) as client:
        return await call(client)


async def by_sync(address: str, project: str, call: Call) -> Any:
    def use() -> Any:
        with runstore.Client(address, project=project, timeout=30) as client:
            return call(client)

    return await asyncio.to_thread(use)


async def append_async(address: str, project: str) -> None:
    async with (
        runstore.connect(address, project=project) as client,
        client.appender() as appender,
    ):
        await appender.append(client.run("run"), "tick")


async def append_sync(address: str, project: str) -> None:
    def use() -> None:
        with runstore.Client(address, project=project) as client, client.appender() as appender:
            appender.append(client.run("run"), "tick")

    await asyncio.to_thread(use)


@pytest.fixture
async def lossy(
    server_address: str, client: runstore.AsyncClient
) -> AsyncIterator[tuple[str, LossyServer]]:
    """A lossy server in front of a project with a run, a snapshot and a config."""
    run = await client.save_run(run_id="run")
    await run.snapshot(snapshot_id="snapshot")
    await client.configs.register("prompt", "greeting", "body", labels=["live"])
    async with lossy_server(server_address) as served:
        yield served


# These have tests of their own below: they need what another call has made.
LATER = {
    *("AppendEventStream", "AppendMany", "ArchiveRun", "DeletePolicy", "DeleteRun"),
    *("ReleaseHold", "RestoreRun", "RevokeToken"),
}


def sent_by(name: str) -> set[str]:
    """The ids that a call of this name can have."""
    return {path for path in ID_PATHS if path.startswith(f"{name}.")}


def test_every_write_has_a_call_here() -> None:
    assert CALLS.keys() | LATER == WRITES


@pytest.mark.parametrize("by", [by_async, by_sync])
@pytest.mark.parametrize("name", CALLS)
async def test_a_write_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer], project: str, name: str, by: Callable[..., Any]
) -> None:
    address, server = lossy

    await by(address, project, CALLS[name])

    assert server.faults == []
    assert server.repeated == {name}
    assert server.ids == sent_by(name)


@pytest.mark.parametrize("by", [by_async, by_sync])
async def test_a_revocation_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer],
    project: str,
    client: runstore.AsyncClient,
    by: Callable[..., Any],
) -> None:
    address, server = lossy
    made = await client.admin.create_token("ci", ["reader@acme/*"])

    token = await by(address, project, lambda its: its.admin.revoke_token(made.token.token_id))

    assert token.revoked_at is not None
    assert server.faults == []
    assert server.repeated == {"RevokeToken"}
    assert server.ids == sent_by("RevokeToken")


@pytest.mark.parametrize("by", [by_async, by_sync])
async def test_a_deletion_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer],
    project: str,
    client: runstore.AsyncClient,
    by: Callable[..., Any],
) -> None:
    address, server = lossy
    run = await client.save_run(run_id="run")
    await run.complete(runstore.Outcome.SUCCEEDED)

    removal = await by(address, project, lambda its: its.admin.delete_run("run", "case 7"))

    assert removal.last_seq == 1
    assert server.faults == []
    assert server.repeated == {"DeleteRun"}
    assert server.ids == sent_by("DeleteRun")


@pytest.mark.parametrize("by", [by_async, by_sync])
async def test_an_archive_and_its_restoration_are_sent_again_as_they_were(
    lossy: tuple[str, LossyServer],
    project: str,
    client: runstore.AsyncClient,
    by: Callable[..., Any],
) -> None:
    address, server = lossy
    await (await client.save_run(run_id="run")).complete(runstore.Outcome.SUCCEEDED)

    archive = await by(address, project, lambda its: its.admin.archive_run("run", "old"))

    async with asyncio.timeout(60):
        while archive.state < runstore.ArchiveState.DONE:
            await asyncio.sleep(0.05)
            archive = await client.admin.archive_run("run", "old")
    archive = await by(address, project, lambda its: its.admin.restore_run("run", "case 7"))
    assert archive.state is runstore.ArchiveState.RESTORED
    assert server.faults == []
    assert server.repeated == {"ArchiveRun", "RestoreRun"}
    assert server.ids == sent_by("ArchiveRun") | sent_by("RestoreRun")


@pytest.mark.parametrize("by", [by_async, by_sync])
async def test_a_release_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer],
    project: str,
    client: runstore.AsyncClient,
    by: Callable[..., Any],
) -> None:
    address, server = lossy
    placed = await client.admin.place_hold("case 7", filter=runstore.RunSelection())

    hold = await by(address, project, lambda its: its.admin.release_hold(placed.hold_id))

    assert hold.released_at is not None
    assert server.faults == []
    assert server.repeated == {"ReleaseHold"}
    assert server.ids == sent_by("ReleaseHold")


@pytest.mark.parametrize("by", [by_async, by_sync])
async def test_the_end_of_a_policy_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer],
    project: str,
    client: runstore.AsyncClient,
    by: Callable[..., Any],
) -> None:
    address, server = lossy
    await client.admin.put_policy(runstore.Policy("p", keep_run=timedelta(days=1)), "case 7")

    await by(address, project, lambda its: its.admin.delete_policy("p", "case 7 is over"))

    assert [each async for each in client.admin.policies()] == []
    assert server.faults == []
    assert server.repeated == {"DeletePolicy"}
    assert server.ids == sent_by("DeletePolicy")


@pytest.mark.parametrize("append", [append_async, append_sync])
async def test_an_append_of_a_stream_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer], project: str, append: Callable[..., Any]
) -> None:
    address, server = lossy

    await append(address, project)

    assert server.faults == []
    assert server.repeated == {"AppendEventStream"}
    assert server.ids == sent_by("AppendEventStream")


async def gathered_async(address: str, project: str) -> list[int]:
    async with runstore.connect(address, project=project, timeout=30) as client:
        run = client.run("run")
        appended = await asyncio.gather(*(run.append("tick") for _ in range(64)))
    return [each.seq for each in appended]


async def gathered_sync(address: str, project: str) -> list[int]:
    with runstore.Client(address, project=project, timeout=30) as client:
        run = client.run("run")
        appends = (asyncio.to_thread(run.append, "tick") for _ in range(64))
        return [each.seq for each in await asyncio.gather(*appends)]


@pytest.mark.parametrize("append", [gathered_async, gathered_sync])
async def test_each_append_of_a_request_is_sent_again_as_it_was(
    lossy: tuple[str, LossyServer], project: str, append: Callable[..., Any]
) -> None:
    address, server = lossy

    seqs = await append(address, project)

    assert sorted(seqs) == list(range(1, 65))
    assert server.faults == []
    assert "AppendMany" in server.repeated
