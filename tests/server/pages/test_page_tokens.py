"""Page tokens lead through a listing, and only through that listing."""

import base64

import grpc
import pytest
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.snapshots_pb2 import Snapshot
from runstore_server.pages import page_tokens

COUNT = 5


@pytest.fixture(autouse=True)
async def listed(stub, project) -> None:
    for number in range(COUNT):
        of_run = {"project": project, "run_id": f"run-{number}"}
        await stub.SaveRun(rpc.SaveRunRequest(**of_run, tags=["x"]))
        await stub.PutSnapshot(
            rpc.PutSnapshotRequest(**of_run, snapshot=Snapshot(namespace="n", snapshot_id="s"))
        )


async def test_pages_of_runs_join_to_the_whole(stub, project) -> None:
    seen, token = [], ""
    for size in (2, 1, 2):
        page = await stub.ListRuns(
            rpc.ListRunsRequest(project=project, page_size=size, page_token=token)
        )
        token = page.next_page_token
        seen += [run.run_id for run in page.runs]

    assert seen == [f"run-{number}" for number in reversed(range(COUNT))]
    assert not token


async def test_pages_of_snapshots_join_to_the_whole(stub, project) -> None:
    seen, token = [], ""
    for limit in (2, 1, 2):
        page = await stub.ListSnapshots(
            rpc.ListSnapshotsRequest(project=project, limit=limit, page_token=token)
        )
        token = page.next_page_token
        seen += [snapshot.run_id for snapshot in page.snapshots]

    assert seen == [f"run-{number}" for number in reversed(range(COUNT))]
    assert not token


async def refuse(call: object) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    error = from_rpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [field for field, _ in error.violations] == ["page_token"]


async def test_a_token_of_another_query_is_refused(stub, project) -> None:
    query = rpc.ListRunsRequest(project=project, page_size=1)
    token = (await stub.ListRuns(query)).next_page_token
    others = [
        rpc.ListRunsRequest(project=project + "2"),
        rpc.ListRunsRequest(project=project, order=2),
        rpc.ListRunsRequest(project=project, filter=rpc.RunFilter(tags=["x"])),
    ]

    for other in others:
        other.page_token = token
        await refuse(stub.ListRuns(other))


async def test_a_token_of_another_rpc_is_refused(stub, project) -> None:
    runs = await stub.ListRuns(rpc.ListRunsRequest(project=project, page_size=1))
    snapshots = await stub.ListSnapshots(rpc.ListSnapshotsRequest(project=project, limit=1))
    of_runs, of_snapshots = runs.next_page_token, snapshots.next_page_token

    await refuse(stub.ListRuns(rpc.ListRunsRequest(project=project, page_token=of_snapshots)))
    await refuse(stub.ListSnapshots(rpc.ListSnapshotsRequest(project=project, page_token=of_runs)))


async def test_a_token_whose_cursor_was_changed_is_refused(stub, project) -> None:
    query = rpc.ListRunsRequest(project=project, page_size=1)
    token = base64.urlsafe_b64decode((await stub.ListRuns(query)).next_page_token)

    for changed in (token[:-1] + b"x", token + b"\x00" + b"1", token.partition(b"\x00")[0], b"["):
        query.page_token = base64.urlsafe_b64encode(changed).decode()
        await refuse(stub.ListRuns(query))


async def test_a_token_of_an_older_server_is_refused(stub, project) -> None:
    request = rpc.ListRunsRequest(project=project, page_size=1)
    request.page_token = page_tokens.issue(request, [7])

    await refuse(stub.ListRuns(request))
