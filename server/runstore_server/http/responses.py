"""Responses in JSON."""

from __future__ import annotations

from starlette.responses import Response

from runstore_server.json.writing import JsonValue, written

NO_STORE = {"Cache-Control": "no-store"}


class JsonResponse(Response):
    """A JSON response that must not be cached."""

    media_type = "application/json"

    def __init__(self, value: JsonValue) -> None:
        super().__init__(written(value).encode(), headers=NO_STORE)
