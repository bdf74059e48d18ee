"""Failures as problem documents (RFC 9457): the reasons are those of gRPC, the statuses HTTP's."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, cast

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from grpc import StatusCode
from runstore_storage.contract.errors import StorageError, StorageUnavailable
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runstore_server.edge.errors import (
    STATUS,
    Internal,
    InvalidRequest,
    RequestError,
    Violation,
    is_known,
    retry_after,
)
from runstore_server.edge.requests import request_id
from runstore_server.http.responses import NO_STORE
from runstore_server.json.writing import JsonValue, written

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:runstore:reason:"
HTTP_STATUS: dict[StatusCode, HTTPStatus] = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    StatusCode.ABORTED: HTTPStatus.CONFLICT,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    StatusCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_log = structlog.get_logger(__name__)


def problem_value(error: Exception) -> dict[str, JsonValue]:
    """The problem document of a failure; a defect is logged and becomes a bare INTERNAL."""
    current = request_id.get()
    if not is_known(error):
        _log.error("defect", exc_info=error)
        error = Internal(current)
    code, reason = STATUS[type(error)]
    value: dict[str, JsonValue] = {
        "type": TYPE_PREFIX + reason,
        "title": reason.replace("_", " ").capitalize(),
        "status": HTTP_STATUS[code].value,
        "detail": _detail(error),
        "reason": reason,
        "metadata": getattr(error, "details", {}),
        "request_id": current,
    }
    if isinstance(error, InvalidRequest):
        value["violations"] = [
            {"field": each.field, "description": each.description} for each in error.violations
        ]
    return value


def problem(error: Exception) -> Response:
    """The answer to a request that failed."""
    value, headers = problem_value(error), {}
    if value["status"] == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if (seconds := retry_after(error)) is not None:
        headers["Retry-After"] = str(ceil(seconds))
    return _response(value, headers)


def install(app: FastAPI) -> None:
    """Answer every failure of the application with a problem document."""
    for kind in (RequestError, StorageError, Exception):
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_routed)


async def _refused(_request: Request, error: Exception) -> Response:
    return problem(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    return problem(InvalidRequest([Violation(_field(each["loc"]), each["msg"]) for each in found]))


async def _not_routed(request: Request, error: Exception) -> Response:
    """An unknown path or method, for which the contracts have no reason."""
    failure = cast(HTTPException, error)
    value: dict[str, JsonValue] = {
        "type": "about:blank",
        "title": HTTPStatus(failure.status_code).phrase,
        "status": failure.status_code,
        "detail": f"{request.method} {request.url.path} is not served here; see /docs",
        "request_id": request_id.get(),
    }
    return _response(value, failure.headers)


def _response(value: dict[str, JsonValue], headers: Any = None) -> Response:
    return Response(
        written(value).encode(),
        status_code=cast(int, value["status"]),
        headers={**(headers or {}), **NO_STORE},
        media_type=MEDIA_TYPE,
    )


def _detail(error: Exception) -> str:
    if isinstance(error, StorageUnavailable):
        return "the database did not answer"  # its own text is about writes
    return str(error)


def _field(location: Sequence[int | str]) -> str:
    """The parameter at fault, without its kind: `tag[3]`."""
    name, *indexes = location[1:] or location
    return str(name) + "".join(f"[{index}]" for index in indexes)
