"""Responses in JSON."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from runstore_server.json.writing import JsonValue, written

NO_STORE = {"Cache-Control": "no-store"}
NO_HEADERS: Mapping[str, str] = {}


class JsonResponse(Response):
    """A JSON response that must not be cached."""

    media_type = "application/json"

    def __init__(self, value: JsonValue, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(written(value).encode(), headers={**NO_STORE, **headers})
