"""RPCs about outputs: a run is completed with one, and it is read back."""

from __future__ import annotations

from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore.v1 import runs_pb2
from runstore_storage.contract.outputs import OutputStore

from runstore_server.convert.outputs import completion_of, output_message
from runstore_server.convert.runs import guard_of, key_of
from runstore_server.convert.times import timestamp
from runstore_server.validation.requests import admit


class Outputs:
    def __init__(self, outputs: OutputStore) -> None:
        self._outputs = outputs

    async def CompleteRun(
        self, request: rpc.CompleteRunRequest, _context: Any
    ) -> rpc.CompleteRunResponse:
        await admit(request)
        completed = await self._outputs.complete_run(
            key_of(request), completion_of(request), guard_of(request)
        )
        return rpc.CompleteRunResponse(
            status=runs_pb2.RunStatus.ValueType(completed.status),
            seq=completed.seq,
            revision=completed.revision,
            completed_at=timestamp(completed.completed_at),
            deduplicated=completed.deduplicated,
        )

    async def GetOutput(
        self, request: rpc.GetOutputRequest, _context: Any
    ) -> rpc.GetOutputResponse:
        await admit(request)
        stored = await self._outputs.get_output(key_of(request), request.revision)
        return rpc.GetOutputResponse(output=output_message(stored))
