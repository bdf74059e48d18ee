"""Outputs over HTTP."""

from __future__ import annotations

from typing import Annotated

from runstore_storage.contract.store import Store

from runstore_server.http.models.outputs import OutputAnswer
from runstore_server.http.parameters.keys import Key
from runstore_server.http.parameters.queries import integer
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.json.outputs import output_value
from runstore_server.validation.outputs import REVISION


class Outputs:
    def __init__(self, api: Api, store: Store) -> None:
        self._store = store
        api.get(
            f"{RUN}/output", self.get_output, summary="Read a run's output", answer=OutputAnswer
        )

    async def get_output(
        self,
        key: Key,
        revision: Annotated[int, integer(REVISION, "The revision; 0 is the latest.")] = 0,
    ) -> JsonResponse:
        """The latest revision of the output, or the given one."""
        stored = await self._store.get_output(key, revision)
        return JsonResponse({"output": output_value(stored)})
