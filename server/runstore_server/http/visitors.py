"""Who asks over HTTP: found out first, and watched for as long as a stream is open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeVar

from fastapi import Depends
from runstore_storage.contract.access import SERVER, Role
from starlette.requests import Request

from runstore_server.edge.admission import Admission
from runstore_server.edge.identity import AUTHORIZATION, Shown
from runstore_server.edge.standing import while_standing

T = TypeVar("T")

# What all of the API asks for: it only reads.
READER = Role.READER


class Visitor:
    """The caller of one request, and the project that it was let into."""

    def __init__(self, admission: Admission, route: str, shown: Shown) -> None:
        self._admission = admission
        self._route = route
        self._shown = shown
        self._project = SERVER

    async def know(self) -> None:
        """Find out who it is. Raises as `Callers.identify`."""
        await self._admission.know(self._route, self._shown)

    def allow(self, project: str) -> None:
        """Let it read a project; raise `PermissionDenied` if it may not."""
        self._admission.allow_project(self._route, READER, project, self._shown)
        self._project = project

    def allow_operator(self) -> None:
        """Raise `PermissionDenied` unless it is an operator."""
        self._admission.allow_project(self._route, Role.OPERATOR, SERVER, self._shown)

    async def while_allowed(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The items of a stream, until it may have no more."""
        watch = self._admission.watch_project(self._shown, READER, self._project)
        async with watch as standing, aclosing(while_standing(items, standing)) as kept:
            async for item in kept:
                given = [item]
                del item  # not held while the client reads
                yield given.pop()


async def known(request: Request) -> Visitor:
    """The caller of a request, which is known from then on."""
    client = request.client
    visitor = Visitor(
        request.app.state.admission,
        str(getattr(request.scope.get("route"), "path_format", "")),
        Shown(
            peer=f"{client.host}:{client.port}" if client else "",
            authorization=request.headers.get(AUTHORIZATION, ""),
            names=getattr(request.state, "names", ()),
        ),
    )
    await visitor.know()
    return visitor


Known = Annotated[Visitor, Depends(known)]


async def operator(visitor: Known) -> None:
    """Let only operators in."""
    visitor.allow_operator()
