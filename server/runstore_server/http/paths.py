"""Paths whose segments may hold any character.

A run id may be "a/b" or "a/events". HTTP servers decode the path, and then such an id looks like
two segments. So routes are matched on the path as it was sent, and each segment is decoded by
itself.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.http.problems import problem


class _Segment(Convertor[str]):
    """One segment of a path, still encoded by `RawPaths`."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("segment", _Segment())


class RawPaths:
    """Makes the application match the path as it was sent, with each segment in canonical form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope["raw_path"]
        if not _is_text(raw):
            refusal = InvalidRequest([Violation("path", "is not UTF-8")])
            await problem(refusal)(scope, receive, send)
            return
        segments = (quote(unquote_to_bytes(each), safe="") for each in raw.split(b"/"))
        scope["path"] = "/".join(segments)  # in place: outer layers read the route from this scope
        await self._app(scope, receive, send)


def _is_text(raw: bytes) -> bool:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True
