"""The Python client against a real server."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import RFC_4122, UUID

import grpc
import pytest
import runstore
from conftest import make_store
from runstore import ids
from runstore.failures import Failure
from runstore.retry import Backoff
from runstore_server.app import App


async def test_an_event_comes_back_with_every_field(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    sent = runstore.NewEvent(
        "tool.called",
        {"query": "ü", "n": 1.5},
        event_id="e",
        node_id="n",
        actor="a",
        model="m",
        tool="t",
        tags=["x", "y"],
        usage=runstore.Usage(1, 2, 3, 4, timedelta(microseconds=5)),
        trace_parent="00-1-2-01",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )

    appended = await run.append(sent)

    (found,) = [event async for event in run.events()]
    assert (found.seq, found.hash) == (appended.seq, appended.hash)
    assert found.payload is not None
    assert found.payload.content == '{"query":"ü","n":1.5}'
    for name in ("type", "node_id", "actor", "model", "tool", "usage", "occurred_at"):
        assert getattr(found, name) == getattr(sent, name)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"b": 1, "a": None}, '{"b":1,"a":null}'),
        ("é", '"é"'),
        ("\ud800", '"\\ud800"'),
        (b"\x00\xff", b"\x00\xff"),
        (runstore.Payload("[1.0 ]"), "[1.0 ]"),
    ],
)
def test_a_payload_argument_becomes_the_text_or_bytes_one_expects(value, content) -> None:
    assert runstore.payload_of(value).content == content


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_json_has_no_word_for_is_refused_before_it_is_sent(value) -> None:
    with pytest.raises((ValueError, TypeError)):
        runstore.payload_of(value)


async def test_a_snapshot_comes_back_with_its_parts(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    big = runstore.payload_of({"text": "x" * 1000})
    await run.snapshot(state={"big": big, "none": None})

    await run.snapshot(
        state={"big": runstore.Ref(big.sha256)},
        nodes=[runstore.PlanNode("n", "tool", ["f"], "pending", input_schema={"type": "object"})],
        pending_node_ids=["n"],
        plan_version_id="v2",
        metadata={"step": 2},
        events=[runstore.NewEvent("step")],
        task_writes=[runstore.TaskWrite("t", 0, {"done": True})],
    )

    found = await run.get_snapshot(plan_version_id="v2")
    assert found.state == {"big": big}
    assert found.nodes[0].input_schema.value() == {"type": "object"}
    assert [write.payload.value() for write in found.task_writes] == [{"done": True}]
    assert found.seq == 1
    listed = [each async for each in run.list_snapshots(metadata={"step": 2.0})]
    assert [each.snapshot_id for each in listed] == [found.snapshot_id]
    assert big.sha256 == sha256(big.data).digest()


async def test_a_snapshot_put_again_under_its_id_is_the_one_that_is_there(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run()
    first = await run.snapshot(snapshot_id="s", state={"memory": [1]})

    again = await run.snapshot(snapshot_id="s", state={"memory": [1]})

    assert again.deduplicated
    assert again.content_hash == first.content_hash
    with pytest.raises(runstore.IdempotencyMismatch):
        await run.snapshot(snapshot_id="s", state={"memory": [2]})


async def test_a_resume_fences_the_writer_before(client: runstore.AsyncClient) -> None:
    first = await client.save_run()
    await first.append("a")
    resumed = await client.resume(first.run_id, actor="second")
    await resumed.run.append("b")

    with pytest.raises(runstore.WriterFenced) as caught:
        await first.append("c")

    assert caught.value.current_epoch == 2
    assert [event.type async for event in resumed.events()] == ["a", "run.resumed"]


async def test_a_resume_takes_no_run_that_another_wrote_to_since(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run()
    seen = (await run.append("a")).seq
    await run.append("b")

    with pytest.raises(runstore.SeqConflict) as caught:
        await client.resume(run.run_id, expected_seq=seen)

    assert caught.value.current_seq == 2
    await run.append("c")  # nobody fenced the writer
    resumed = await client.resume(run.run_id, expected_seq=3)
    assert resumed.run.writer_epoch == 2


async def test_snapshots_that_nobody_needs_are_deleted(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append("a")
    for number in range(3):
        await run.snapshot(snapshot_id=f"s{number}", namespace="graph", state={"x": number})
    await run.put_task_writes([runstore.TaskWrite("t", 0, 1, snapshot_id="s1")], namespace="graph")
    fork = await run.fork()
    await run.snapshot(snapshot_id="s3", namespace="graph", state={"x": "new"})

    with pytest.raises(runstore.SnapshotInUse) as caught:
        await run.delete_snapshots(["s1", "s3"], namespace="graph")
    assert caught.value.fork_run_id == fork.run_id
    assert caught.value.metadata["snapshot_id"] == "s1"

    deleted = await run.delete_snapshots(["s3", "none"], namespace="graph")
    again = await run.delete_snapshots(["s3", "none"], namespace="graph")

    assert (deleted.snapshots, deleted.task_writes, deleted.freed_bytes > 0) == (1, 0, True)
    assert again == runstore.SnapshotsDeleted(0, 0, 0)
    left = [each.snapshot_id async for each in run.list_snapshots(namespace="graph")]
    assert left == ["s2", "s1", "s0"]
    await client.resume(run.run_id)
    with pytest.raises(runstore.WriterFenced):
        await run.delete_snapshots(["s0"], namespace="graph")


async def test_saving_a_resumed_run_again_does_not_take_the_writers_epoch(
    client: runstore.AsyncClient,
) -> None:
    first = await client.save_run("o", run_id="run")
    await client.resume("run")

    again = await client.save_run("o", run_id="run")

    assert first.writer_epoch == again.writer_epoch == 1
    with pytest.raises(runstore.WriterFenced):
        await again.append("late")


async def test_a_finished_run_is_saved_in_one_call(client: runstore.AsyncClient) -> None:
    completion = runstore.Completion(
        runstore.Outcome.FAILED,
        {"error": "none"},
        {"schema_hash": "h", "statistics": {"steps": 1}},
        [runstore.NewEvent("tried")],
        {"state": {"x": 1}},
    )

    run = await client.save_run("o", completion=completion)

    assert [event.type async for event in run.events()] == ["tried", "run.completed"]
    assert (await run.get()).outcome is runstore.Outcome.FAILED
    output = await run.output()
    assert (output.schema_hash, output.payload.value()) == ("h", {"error": "none"})
    assert (await run.get_snapshot()).reason is runstore.SnapshotReason.FINAL


async def test_a_completion_that_lost_a_race_is_refused(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append("a")

    with pytest.raises(runstore.SeqConflict) as caught:
        await run.complete(expected_seq=0)

    assert (caught.value.expected_seq, caught.value.current_seq) == (0, 1)


async def test_a_page_of_events_is_filtered(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append_many([runstore.NewEvent(each) for each in "abab"])

    page = await run.list_events(types=["b"], page_size=1)
    rest = await run.list_events(page.next_from_seq, types=["b"])

    assert [event.seq for event in (*page.events, *rest.events)] == [2, 4]


async def test_a_run_is_verified_in_slices_with_progress(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append_many([runstore.NewEvent("tick") for _ in range(5)])
    progress: list[int] = []

    found = await run.verify(lambda so_far: progress.append(so_far.checked_events), slice_size=2)

    assert found.verified
    assert progress == [2, 4, 5]


async def test_a_server_that_serves_says_so(client: runstore.AsyncClient) -> None:
    assert await client.health()
    assert await client.health("runstore.v1.RunService")
    async with runstore.connect("127.0.0.1:1", timeout=2) as nobody:
        with pytest.raises(runstore.Unavailable):
            await nobody.health()


async def test_an_event_that_holds_its_fields_takes_no_others(client: runstore.AsyncClient) -> None:
    with pytest.raises(TypeError):
        await client.run("run").append(runstore.NewEvent("a"), {"lost": True})


def test_ids_are_uuids_that_sort_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for nanoseconds in (1, 10**18, 10**18 + 10**6, 2 * 10**18):
        monkeypatch.setattr(ids.time, "time_ns", lambda at=nanoseconds: at)
        made.append(ids.new_id())

    assert made == sorted(made)
    assert {(UUID(each).version, UUID(each).variant) for each in made} == {(7, RFC_4122)}


async def test_errors_carry_reason_metadata_and_violations(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    with pytest.raises(runstore.SeqConflict) as conflict:
        await run.append("a", expected_seq=7)
    with pytest.raises(runstore.InvalidRequest) as invalid:
        await run.append("", node_id="x" * 201)
    with pytest.raises(runstore.RunNotFound):
        await client.run("nobody").get()

    assert conflict.value.current_seq == 0
    assert [field for field, _ in invalid.value.violations] == ["event.type", "event.node_id"]
    assert invalid.value.request_id


async def test_runs_are_listed_over_pages(client: runstore.AsyncClient) -> None:
    for number in range(3):
        await client.save_run(run_id=f"r{number}", tags=["even"] if number % 2 == 0 else [])

    query = runstore.RunQuery(tags=["even"], oldest_first=True)
    assert [run.run_id async for run in client.list_runs(query)] == ["r0", "r2"]


async def test_runs_are_listed_by_every_filter_and_order(client: runstore.AsyncClient) -> None:
    ref = runstore.ExternalRef("jira", "X-1")
    first = await client.save_run("red fox", run_id="r0", tags=["a"], external_ref=ref)
    await client.save_run("blue", run_id="r1", tags=["b"], parent_run_id="r0")
    await first.complete()
    done = (await first.get()).completed_at
    assert done
    order = runstore.RunOrder
    wanted: list[tuple[runstore.RunQuery, list[str]]] = [
        (runstore.RunQuery(any_tags=["a", "b"]), ["r1", "r0"]),
        (runstore.RunQuery(root_run_id="r0", order=order.CREATED_ASC), ["r0", "r1"]),
        (runstore.RunQuery(external=runstore.ExternalFilter("jira", "X-1")), ["r0"]),
        (runstore.RunQuery(objective="fox"), ["r0"]),
        (runstore.RunQuery(completed_from=done), ["r0"]),
        (runstore.RunQuery(completed_before=done), []),
        (runstore.RunQuery(updated_from=done), ["r0"]),
        (runstore.RunQuery(updated_before=done), ["r1"]),
        (runstore.RunQuery(order=order.UPDATED_DESC), ["r0", "r1"]),
        (runstore.RunQuery(order=order.UPDATED_ASC), ["r1", "r0"]),
        (runstore.RunQuery(order=order.COMPLETED_DESC), ["r0"]),
    ]

    for query, found in wanted:
        assert [run.run_id async for run in client.list_runs(query)] == found, query


async def test_a_stream_survives_server_restarts_without_loss_or_repeat(
    settings, database_url, db_schema, project
) -> None:
    async def start(port: int) -> tuple[App, str]:
        server = App(
            settings.model_copy(update={"port": port}), make_store(database_url, db_schema)
        )
        return server, await server.start()

    server, address = await start(0)
    port = int(address.rpartition(":")[2])
    async with runstore.connect(address, project=project, timeout=30) as client:
        run = await client.save_run()

        async def watch() -> list[int]:
            stream = run.events(follow=True, heartbeat_seconds=0.5)
            return [event.seq async for event in stream]

        watching = asyncio.create_task(watch())
        for _ in range(3):
            await run.append_many([runstore.NewEvent("tick") for _ in range(100)])
            await server.drain()
            server, _ = await start(port)
        await run.complete()
        seen = await asyncio.wait_for(watching, 30)
        await server.drain()

    assert seen == list(range(1, 302))


async def test_calls_made_as_a_server_stops_are_answered_by_the_next(
    settings, database_url, db_schema, project
) -> None:
    async def start(port: int) -> tuple[App, str]:
        server = App(
            settings.model_copy(update={"port": port}), make_store(database_url, db_schema)
        )
        return server, await server.start()

    server, address = await start(0)
    async with runstore.connect(address, project=project, timeout=30) as client:
        runs = [await client.save_run() for _ in range(8)]
        watching = [asyncio.create_task(anext(run.events(follow=True))) for run in runs]
        writing = [asyncio.create_task(run.append("tick")) for run in runs]

        await server.drain()
        server, _ = await start(int(address.rpartition(":")[2]))

        written = await asyncio.wait_for(asyncio.gather(*writing), 30)
        watched = await asyncio.wait_for(asyncio.gather(*watching), 30)
    await server.drain()

    assert [each.seq for each in written] == [each.seq for each in watched] == [1] * 8


async def test_a_closed_client_does_not_try_again(script) -> None:
    script.streams = [[...]]
    opened = runstore.Client(script.address)
    stream = opened.run("run").stream()
    reading = asyncio.create_task(asyncio.to_thread(list, stream))
    await script.was_asked.wait()

    await asyncio.to_thread(opened.close)

    with pytest.raises(runstore.RunstoreError):
        await asyncio.wait_for(reading, 10)
    assert script.asked == [1]


class Silent(grpc.GenericRpcHandler):
    """A server whose streams go dead without ending."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def service(self, handler_call_details):
        async def hang(request, context):
            self.requests.append(request)
            await asyncio.Event().wait()
            yield b""

        return grpc.unary_stream_rpc_method_handler(hang)


async def test_a_stream_that_falls_silent_is_opened_again_then_given_up() -> None:
    handler = Silent()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with runstore.connect(f"127.0.0.1:{port}") as client:
        stream = client.run("run").events(follow=True, heartbeat_seconds=0.1, patience_seconds=0.8)
        with pytest.raises(runstore.Unavailable, match="silent"):
            await anext(stream)
    await server.stop(0)

    assert len(handler.requests) >= 2


async def test_no_server_is_unavailable_within_the_timeout() -> None:
    async with runstore.connect("127.0.0.1:1", timeout=0.5) as client:
        with pytest.raises((runstore.Unavailable, runstore.DeadlineExceeded)):
            await client.run("run").get()


def test_only_what_a_later_try_may_mend_is_tried_again() -> None:
    def delay(kind: type[runstore.RunstoreError], attempt: int = 1) -> float | None:
        failure = Failure(grpc.StatusCode.UNAVAILABLE, "", retry_after=0.5)
        return Backoff().delay(attempt, kind(failure))

    assert delay(runstore.Unavailable) == delay(runstore.Overloaded) == 0.5
    assert delay(runstore.ServerDraining, 30) <= 2.0
    for kind in (runstore.SeqConflict, runstore.WriterFenced, runstore.DeadlineExceeded):
        assert delay(kind) is None


async def test_the_synchronous_client_does_the_same(server_address, project) -> None:
    def use() -> tuple[list[str], bool, str]:
        with runstore.Client(server_address, project=project) as client:
            run = client.save_run("sync")
            run.append("a", {"n": 1})
            run.snapshot(state={"x": 1}, snapshot_id="s")
            assert run.delete_snapshots(["s"]).snapshots == 1
            resumed = client.resume(run.run_id, expected_seq=1)
            resumed.run.complete(payload={"ok": True})
            types = [event.type for event in run.events(follow=True)]
            output = run.output().payload
            assert output is not None
            return types, run.verify().verified, json.dumps(output.value())

    types, is_verified, output = await asyncio.to_thread(use)

    assert types == ["a", "run.resumed", "run.completed"]
    assert is_verified
    assert output == '{"ok": true}'
