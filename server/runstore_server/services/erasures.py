"""The RPCs of erasures."""

from __future__ import annotations

from typing import Any

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.erasures import ErasureStore
from runstore_storage.contract.heads import RunKey

from runstore_server.convert.erasures import erasure_message, seqs_of
from runstore_server.convert.runs import project_of
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit


class Erasures:
    def __init__(self, erasures: ErasureStore, acts: Acts) -> None:
        self._erasures = erasures
        self._acts = acts

    async def EraseEvents(
        self, request: rpc.EraseEventsRequest, context: Any
    ) -> rpc.EraseEventsResponse:
        await admit(request)
        key = RunKey(project_of(request.project), request.run_id)
        async with self._acts.recorded(request, f"runs/{request.run_id}", context) as act:
            erasure, is_repeat = await self._erasures.erase_events(key, seqs_of(request), act)
        return rpc.EraseEventsResponse(erasure=erasure_message(erasure), deduplicated=is_repeat)

    async def EraseSubject(
        self, request: rpc.EraseSubjectRequest, context: Any
    ) -> rpc.EraseSubjectResponse:
        await admit(request)
        project = project_of(request.project)
        async with self._acts.recorded(request, "erasures", context) as act:
            erasure, is_repeat = await self._erasures.erase_subject(project, request.subject, act)
        return rpc.EraseSubjectResponse(erasure=erasure_message(erasure), deduplicated=is_repeat)

    async def GetErasure(
        self, request: rpc.GetErasureRequest, _context: Any
    ) -> rpc.GetErasureResponse:
        await admit(request)
        found = await self._erasures.get_erasure(project_of(request.project), request.erasure_id)
        return rpc.GetErasureResponse(erasure=erasure_message(found))
