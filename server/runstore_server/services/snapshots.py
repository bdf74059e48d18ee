"""RPCs about snapshots and task writes."""

from __future__ import annotations

from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.pages import Page
from runstore_storage.contract.snapshots import (
    SnapshotCursor,
    SnapshotQuery,
    SnapshotStore,
    SnapshotWithWrites,
    StoredSnapshot,
)

from runstore_server.convert.events import events_of
from runstore_server.convert.payloads import payload_of
from runstore_server.convert.runs import guard_of, key_of, project_of
from runstore_server.convert.snapshots import (
    are_many,
    selector_of,
    snapshot_message,
    snapshot_of,
    task_write_message,
    task_write_of,
    task_writes_message,
)
from runstore_server.convert.times import timestamp
from runstore_server.edge.requests import beside
from runstore_server.pages import snapshot_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.requests import admit, is_large


class Snapshots:
    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots

    async def PutSnapshot(
        self, request: rpc.PutSnapshotRequest, _context: Any
    ) -> rpc.PutSnapshotResponse:
        await admit(request)
        answer = await self._snapshots.put_snapshot(
            key_of(request),
            await beside(is_large(request), snapshot_of, request.snapshot),
            events=events_of(request.events),
            task_writes=[task_write_of(write) for write in request.task_writes],
            guard=guard_of(request),
            request_id=request.request_id,
        )
        return rpc.PutSnapshotResponse(
            snapshot_id=answer.snapshot_id,
            seq=answer.seq,
            content_hash=answer.content_hash,
            created_at=timestamp(answer.created_at),
            last_seq=answer.last_seq,
            deduplicated=answer.deduplicated,
        )

    async def PutTaskWrites(
        self, request: rpc.PutTaskWritesRequest, _context: Any
    ) -> rpc.PutTaskWritesResponse:
        await admit(request)
        known = await self._snapshots.put_task_writes(
            key_of(request),
            request.namespace,
            [task_write_of(write) for write in request.writes],
            writer_epoch=request.writer_epoch if request.HasField("writer_epoch") else None,
        )
        return rpc.PutTaskWritesResponse(deduplicated=known)

    async def DeleteSnapshots(
        self, request: rpc.DeleteSnapshotsRequest, _context: Any
    ) -> rpc.DeleteSnapshotsResponse:
        await admit(request)
        deleted = await self._snapshots.delete_snapshots(
            key_of(request),
            request.namespace,
            request.snapshot_ids,
            writer_epoch=request.writer_epoch if request.HasField("writer_epoch") else None,
        )
        return rpc.DeleteSnapshotsResponse(
            deleted_snapshots=deleted.snapshots,
            deleted_task_writes=deleted.task_writes,
            freed_bytes=deleted.freed_bytes,
        )

    async def GetSnapshot(
        self, request: rpc.GetSnapshotRequest, _context: Any
    ) -> rpc.GetSnapshotResponse:
        await admit(request)
        found = await self._snapshots.get_snapshot(
            key_of(request), request.namespace, selector_of(request)
        )
        return await beside(are_many([found.snapshot], found.task_writes), _found_message, found)

    async def ListSnapshots(
        self, request: rpc.ListSnapshotsRequest, _context: Any
    ) -> rpc.ListSnapshotsResponse:
        await admit(request)
        query = SnapshotQuery(
            project=project_of(request.project),
            run_id=request.run_id,
            namespace=request.namespace if request.HasField("namespace") else None,
            before=request.before,
            id_below=request.id_below,
            metadata=payload_of(request.metadata) if request.HasField("metadata") else None,
            with_parts=request.with_parts,
            with_task_writes=request.with_task_writes,
        )
        page = await self._snapshots.list_snapshots(
            query, limit=request.limit or DEFAULT_PAGE, after=snapshot_tokens.read(request)
        )
        return await beside(are_many(page.items), _page_message, request, page)


def _found_message(found: SnapshotWithWrites) -> rpc.GetSnapshotResponse:
    return rpc.GetSnapshotResponse(
        snapshot=snapshot_message(found.snapshot),
        task_writes=[task_write_message(write) for write in found.task_writes],
    )


def _page_message(
    request: rpc.ListSnapshotsRequest, page: Page[StoredSnapshot, SnapshotCursor]
) -> rpc.ListSnapshotsResponse:
    return rpc.ListSnapshotsResponse(
        snapshots=[snapshot_message(each) for each in page.items],
        next_page_token=snapshot_tokens.issue(request, page.next_after) if page.next_after else "",
        task_writes=map(task_writes_message, page.items) if request.with_task_writes else (),
    )
