"""RPCs about runs as a whole."""

from __future__ import annotations

from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.runs import ResumedRun, RunOrder, RunStore

from runstore_server.convert.events import event_message
from runstore_server.convert.runs import (
    filter_of,
    key_of,
    new_run_of,
    project_of,
    run_message,
)
from runstore_server.convert.snapshots import are_many, snapshot_message, task_write_message
from runstore_server.edge.requests import beside
from runstore_server.pages import run_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE, DEFAULT_PAGE
from runstore_server.validation.requests import admit


class Runs:
    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    async def SaveRun(self, request: rpc.SaveRunRequest, _context: Any) -> rpc.SaveRunResponse:
        await admit(request)
        saved = await self._runs.save_run(new_run_of(request))
        return rpc.SaveRunResponse(run=run_message(saved.run), deduplicated=saved.deduplicated)

    async def GetRun(self, request: rpc.GetRunRequest, _context: Any) -> rpc.GetRunResponse:
        await admit(request)
        run = await self._runs.get_run(key_of(request))
        return rpc.GetRunResponse(run=run_message(run))

    async def ListRuns(self, request: rpc.ListRunsRequest, _context: Any) -> rpc.ListRunsResponse:
        await admit(request)
        page = await self._runs.list_runs(
            project_of(request.project),
            filter_of(request.filter),
            RunOrder(request.order) if request.order else RunOrder.CREATED_DESC,
            limit=request.page_size or DEFAULT_PAGE,
            after=run_tokens.read(request),
        )
        return rpc.ListRunsResponse(
            runs=[run_message(run) for run in page.items],
            next_page_token=run_tokens.issue(request, page.next_after) if page.next_after else "",
        )

    async def ResumeRun(
        self, request: rpc.ResumeRunRequest, _context: Any
    ) -> rpc.ResumeRunResponse:
        await admit(request)
        resumed = await self._runs.resume_run(
            key_of(request),
            namespace=request.namespace,
            request_id=request.request_id,
            actor=request.actor,
            limit=request.page_size or DEFAULT_LONG_PAGE,
            expected_seq=request.expected_seq if request.HasField("expected_seq") else None,
        )
        many = are_many([resumed.snapshot], resumed.task_writes)
        return await beside(many, _resumed_message, resumed)

    async def VerifyRun(
        self, request: rpc.VerifyRunRequest, _context: Any
    ) -> rpc.VerifyRunResponse:
        await admit(request)
        found = await self._runs.verify_run(
            key_of(request),
            from_seq=request.from_seq,
            max_events=request.max_events,
            read_archive=request.read_archive,
        )
        return rpc.VerifyRunResponse(
            verified=not found.problem,
            checked_events=found.checked_events,
            last_seq=found.last_seq,
            last_hash=found.last_hash,
            first_break=rpc.ChainBreak(seq=found.problem_seq, problem=found.problem)
            if found.problem
            else None,
            next_from_seq=found.next_from_seq,
            erased_events=found.erased_events,
        )


def _resumed_message(resumed: ResumedRun) -> rpc.ResumeRunResponse:
    stored = resumed.snapshot
    return rpc.ResumeRunResponse(
        run=run_message(resumed.run),
        writer_epoch=resumed.writer_epoch,
        snapshot=snapshot_message(stored) if stored else None,
        pending_node_ids=stored.snapshot.pending_node_ids if stored else (),
        task_writes=[task_write_message(write) for write in resumed.task_writes],
        events=[event_message(event) for event in resumed.events.events],
        next_from_seq=0 if resumed.events.reaches_end else resumed.events.next_from_seq,
        deduplicated=resumed.deduplicated,
    )
