"""Outputs over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from runstore_storage.contract.store import Store

from runstore_server.http.models.runs import OutputAnswer
from runstore_server.http.parameters.runs import Key
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.json.outputs import output_value
from runstore_server.validation.bounds import MAX_INT32


class Outputs:
    def __init__(self, api: Api, store: Store) -> None:
        self._store = store
        api.get(
            f"{RUN}/output", self.get_output, summary="Read a run's output", answer=OutputAnswer
        )

    async def get_output(
        self,
        key: Key,
        revision: Annotated[
            int, Query(ge=0, le=MAX_INT32, description="Which revision; 0 is the latest.")
        ] = 0,
    ) -> JsonResponse:
        """A revision of the output, the latest unless one is asked for."""
        stored = await self._store.get_output(key, revision)
        return JsonResponse({"output": output_value(stored)})
