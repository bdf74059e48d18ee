"""The OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from runstore_server.http.models.runs import Problem

_REFERENCE = "#/components/schemas/{model}"


def description(app: FastAPI) -> dict[str, Any]:
    """The document of everything under /api, made once.

    FastAPI describes the models of answers in JSON; problems, which are of another media type,
    join them here.
    """
    if app.openapi_schema is None:
        problem = Problem.model_json_schema(ref_template=_REFERENCE)
        others = problem.pop("$defs", {})
        app.openapi()["components"]["schemas"] |= {**others, Problem.__name__: problem}
    return app.openapi()
