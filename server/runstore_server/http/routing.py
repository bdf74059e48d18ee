"""How routes are declared: what each answers, and the refusals it may answer with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.http.models.problems import Problem
from runstore_server.http.problems import MEDIA_TYPE
from runstore_server.http.visitors import known

PREFIX = "/api/v1"
RUN = "/runs/{run_id:segment}"
_PROBLEMS = {
    400: "A parameter breaks a rule; `violations` says which.",
    401: "The request shows nobody that the server knows, or a credential that has expired.",
    403: "The caller may not read this project, whether or not there is one.",
    404: "The run, snapshot or output does not exist.",
    503: "The database does not answer, or the server is shutting down.",
}


class Api:
    """The application, for the nouns' modules to add their routes to."""

    def __init__(self, app: FastAPI, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    def get(
        self,
        path: str,
        endpoint: Callable[..., Awaitable[Response]],
        *,
        summary: str,
        answer: type[BaseModel],
        more: dict[int | str, dict[str, Any]] | None = None,
    ) -> None:
        """Serve GET; the endpoint's docstring is the description."""
        responses: dict[int | str, dict[str, Any]] = {
            200: {"model": answer, "description": answer.__doc__ or summary}
        }
        for status, description in _PROBLEMS.items():
            responses[status] = _problem(description)
        responses["default"] = _problem("Any other refusal or failure.")
        for extra, described in (more or {}).items():
            responses[extra] = {**responses.get(extra, {}), **described}
        self._app.add_api_route(
            PREFIX + path,
            endpoint,
            methods=["GET"],
            summary=summary,
            response_model=None,
            responses=responses,
            dependencies=[Depends(self._serving), Depends(known)],
            operation_id=endpoint.__name__,
        )

    async def _serving(self) -> None:
        self._lifecycle.check()


def _problem(description: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": reference}}}
