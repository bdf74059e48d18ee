"""All connections of one store."""

from __future__ import annotations

from weakref import WeakSet

import asyncpg

from runstore_storage.database.opening import ConnectionLost, connect


class Connections:
    """Opens the connections of a store, and can break all of them at once."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._opened: WeakSet[asyncpg.Connection] = WeakSet()
        self._is_abandoned = False

    async def open(self, name: str) -> asyncpg.Connection:
        """Open one as `opening.connect` does; raise `ConnectionLost` once they are abandoned."""
        if not self._is_abandoned:
            conn = await connect(self._url, schema=self._schema, name=name)
            if not self._is_abandoned:
                self._opened.add(conn)
                return conn
            conn.terminate()
        raise ConnectionLost("the database was abandoned")

    def abandon(self) -> None:
        """Break every connection, so that what waits for an answer on one fails; open no more."""
        self._is_abandoned = True
        for conn in list(self._opened):
            conn.terminate()
