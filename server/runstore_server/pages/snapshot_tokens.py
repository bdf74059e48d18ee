"""Page tokens of listings of snapshots."""

from __future__ import annotations

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.snapshots import SnapshotCursor

from runstore_server.pages import page_tokens


def issue(request: rpc.ListSnapshotsRequest, cursor: SnapshotCursor) -> str:
    """A token for the page that begins after `cursor`."""
    return page_tokens.issue(
        request, [cursor.rank, cursor.run, cursor.namespace, cursor.snapshot_id]
    )


def read(request: rpc.ListSnapshotsRequest) -> SnapshotCursor | None:
    """The cursor of the request's token; None if it has no token."""
    if not request.page_token:
        return None
    rank, run, namespace, snapshot_id = page_tokens.read(request, request.page_token)
    return SnapshotCursor(int(rank), int(run), namespace, snapshot_id)
