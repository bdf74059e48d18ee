"""RPCs about outputs."""

from __future__ import annotations

from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.store import Store

from runstore_server.convert.outputs import output_message
from runstore_server.convert.runs import key_of
from runstore_server.validation.requests import validate


class Outputs:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def GetOutput(
        self, request: rpc.GetOutputRequest, _context: Any
    ) -> rpc.GetOutputResponse:
        validate(request)
        stored = await self._store.get_output(key_of(request), request.revision)
        return rpc.GetOutputResponse(output=output_message(stored))
