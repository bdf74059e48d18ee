"""Snapshots over HTTP."""

from __future__ import annotations

from typing import Annotated

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.errors import SnapshotNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.snapshots import (
    SnapshotQuery,
    SnapshotSelector,
    SnapshotWithWrites,
)
from runstore_storage.contract.store import Store

from runstore_server.convert.snapshots import are_many
from runstore_server.edge.requests import beside
from runstore_server.http.models.snapshots import SnapshotAnswer, SnapshotList
from runstore_server.http.parameters.checks import checked
from runstore_server.http.parameters.keys import Key
from runstore_server.http.parameters.pages import PageToken
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.snapshots import Namespace, SnapshotId
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.json.snapshots import snapshot_summary_value, snapshot_value
from runstore_server.pages import snapshot_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.bounds import PAGE


class Snapshots:
    def __init__(self, api: Api, store: Store) -> None:
        self._store = store
        path = f"{RUN}/snapshots"
        api.get(path, self.list_snapshots, summary="List a run's snapshots", answer=SnapshotList)
        # Before the next route, which would take "latest" for an id.
        api.get(
            f"{path}/latest",
            self.get_latest_snapshot,
            summary="Read the latest snapshot",
            answer=SnapshotAnswer,
        )
        api.get(
            f"{path}/{{snapshot_id:segment}}",
            self.get_snapshot,
            summary="Read a snapshot",
            answer=SnapshotAnswer,
        )

    async def list_snapshots(
        self,
        key: Key,
        namespace: Namespace = None,
        limit: Annotated[int, limit_of(PAGE, "The most snapshots to return.")] = DEFAULT_PAGE,
        page_token: PageToken = "",
    ) -> JsonResponse:
        """A page of snapshots, without their parts; of all namespaces unless one is given."""
        request = rpc.ListSnapshotsRequest(
            project=key.project, run_id=key.run_id, namespace=namespace, page_token=page_token
        )
        checked(request, {})
        query = SnapshotQuery(key.project, key.run_id, namespace, with_node_counts=True)
        page = await self._store.list_snapshots(
            query, limit=limit, after=snapshot_tokens.read(request)
        )
        return JsonResponse(
            {
                "snapshots": [snapshot_summary_value(each) for each in page.items],
                "limit": limit,
                "next_page_token": snapshot_tokens.issue(request, page.next_after)
                if page.next_after
                else None,
            }
        )

    async def get_latest_snapshot(self, key: Key, namespace: Namespace = None) -> JsonResponse:
        """The newest snapshot with its parts; of all namespaces unless one is given."""
        checked(_request(key, "latest", namespace), {})
        query = SnapshotQuery(key.project, key.run_id, namespace)
        page = await self._store.list_snapshots(query, limit=1, after=None)
        if not page.items:
            raise SnapshotNotFound(key.run_id, "yet")
        latest = page.items[0].snapshot
        return await self._in_full(key, latest.namespace, latest.snapshot_id)

    async def get_snapshot(
        self,
        key: Key,
        snapshot_id: SnapshotId,
        namespace: Namespace = None,
    ) -> JsonResponse:
        """A snapshot with its parts; of the namespace without a name unless one is given."""
        checked(_request(key, snapshot_id, namespace), {})
        return await self._in_full(key, namespace or "", snapshot_id)

    async def _in_full(self, key: RunKey, namespace: str, snapshot_id: str) -> JsonResponse:
        selector = SnapshotSelector(snapshot_id=snapshot_id)
        found = await self._store.get_snapshot(key, namespace, selector)
        return await beside(are_many([found.snapshot], found.task_writes), _in_full, found)


def _in_full(found: SnapshotWithWrites) -> JsonResponse:
    return JsonResponse({"snapshot": snapshot_value(found.snapshot, found.task_writes)})


def _request(key: RunKey, snapshot_id: str, namespace: str | None) -> rpc.GetSnapshotRequest:
    return rpc.GetSnapshotRequest(
        project=key.project, run_id=key.run_id, snapshot_id=snapshot_id, namespace=namespace or ""
    )
