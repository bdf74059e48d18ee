"""Runs over HTTP: listed, read, verified."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.errors import OutputNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.runs import Run, RunCursor, RunOrder
from runstore_storage.contract.snapshots import SnapshotQuery, StoredSnapshot
from runstore_storage.contract.store import Store

from runstore_server.convert.runs import filter_of
from runstore_server.http.models.runs import RunAnswer, RunList, VerificationAnswer
from runstore_server.http.parameters.checks import checked
from runstore_server.http.parameters.events import ReadArchive
from runstore_server.http.parameters.keys import Key, Project
from runstore_server.http.parameters.pages import PageToken
from runstore_server.http.parameters.queries import integer
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.runs import FIELDS, Selected
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.json.holds import hold_value
from runstore_server.json.runs import run_summary_value, run_value, verification_value
from runstore_server.json.snapshots import snapshot_summary_value
from runstore_server.pages import run_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.bounds import PAGE, SEQ
from runstore_server.validation.requests import refuse
from runstore_server.validation.runs import CHECKED_EVENTS, RunOrderName

MAX_OFFSET = 10_000
SHOWN_HOLDS = 100


class Runs:
    def __init__(self, api: Api, store: Store) -> None:
        self._store = store
        api.get("/runs", self.list_runs, summary="List runs", answer=RunList)
        api.get(RUN, self.get_run, summary="Read a run", answer=RunAnswer)
        api.get(
            f"{RUN}/verify",
            self.verify_run,
            summary="Verify a run's hash chain",
            answer=VerificationAnswer,
        )

    async def list_runs(
        self,
        project: Project,
        where: Selected,
        limit: Annotated[int, limit_of(PAGE, "The most runs to return.")] = DEFAULT_PAGE,
        offset: Annotated[
            int,
            Query(ge=0, description=f"Runs to skip, at most {MAX_OFFSET}; not with page_token."),
        ] = 0,
        page_token: PageToken = "",
        order: Annotated[
            RunOrderName, Query(description="Orders by completion list only runs that have ended.")
        ] = "created_desc",
    ) -> JsonResponse:
        """A page of runs, without their plans. Follow `next_page_token` with the same filters and
        order: no run is on two pages; those saved or changed meanwhile may be left out. With an
        offset, runs may be repeated or skipped while others are saved.
        """
        chosen = RunOrder[order.upper()]
        request = rpc.ListRunsRequest(
            project=project,
            filter=where,
            order=rpc.RunOrder.ValueType(chosen),
            page_token=page_token,
        )
        checked(request, FIELDS)
        page = await self._store.list_runs(
            project,
            filter_of(where),
            chosen,
            limit=limit,
            after=_after(request, offset),
            offset=offset,
        )
        return JsonResponse(
            {
                "runs": [run_summary_value(run) for run in page.items],
                "limit": limit,
                "offset": offset,
                "next_page_token": run_tokens.issue(request, page.next_after)
                if page.next_after
                else None,
            }
        )

    async def get_run(self, key: Key) -> JsonResponse:
        """The run with its plan, latest output, a summary of its latest snapshot, and its holds."""
        run = await self._store.get_run(key)
        output = await self._latest_output(run)
        latest = await self._latest_snapshot(key)
        holds = await self._store.holds.list_holds(
            key.project, run_id=key.run_id, released=False, limit=SHOWN_HOLDS, after=None
        )
        value = run_value(run, output)
        value["holds"] = [hold_value(each) for each in holds.items]
        value["latest_snapshot"] = snapshot_summary_value(latest) if latest else None
        return JsonResponse({"run": value})

    async def verify_run(
        self,
        key: Key,
        from_seq: Annotated[int, integer(SEQ, "First seq to check.")] = 0,
        max_events: Annotated[
            int, integer(CHECKED_EVENTS, "The most events to check; 0 checks all.")
        ] = 0,
        read_archive: ReadArchive = False,
    ) -> JsonResponse:
        """Recompute the hash chain and compare it with the stored one."""
        found = await self._store.verify_run(
            key, from_seq=from_seq, max_events=max_events, read_archive=read_archive
        )
        return JsonResponse(verification_value(found))

    async def _latest_output(self, run: Run) -> StoredOutput | None:
        """None for a run that was not complete when it was read, so that the two agree."""
        if run.completed_at is None:
            return None
        try:
            return await self._store.get_output(run.key, 0)
        except OutputNotFound:
            return None

    async def _latest_snapshot(self, key: RunKey) -> StoredSnapshot | None:
        query = SnapshotQuery(key.project, key.run_id, with_node_counts=True)
        page = await self._store.list_snapshots(query, limit=1, after=None)
        return page.items[0] if page.items else None


def _after(request: rpc.ListRunsRequest, offset: int) -> RunCursor | None:
    if request.page_token and offset:
        refuse("offset", "must not be given with page_token, which says where the page begins")
    if offset > MAX_OFFSET:
        refuse("offset", f"must be 0..{MAX_OFFSET}; follow next_page_token to go further")
    return run_tokens.read(request)
