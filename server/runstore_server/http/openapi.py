"""The OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from runstore_server.http.models.problems import Problem

_REFERENCE = "#/components/schemas/{model}"


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Everything under /api, described once.

    FastAPI describes the models of JSON answers; those of problems, which have another media type,
    are added here.
    """
    if app.openapi_schema is None:
        problem = Problem.model_json_schema(ref_template=_REFERENCE)
        others = problem.pop("$defs", {})
        app.openapi()["components"]["schemas"] |= {**others, Problem.__name__: problem}
    return app.openapi()
