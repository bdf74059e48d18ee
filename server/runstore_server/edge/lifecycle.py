"""Whether the server takes calls or is going down."""

from __future__ import annotations

import asyncio

from runstore_server.edge.errors import ServerDraining


class Lifecycle:
    """One fact of the process, read by every call."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()

    def check(self) -> None:
        """Refuse what a server that goes down does not begin."""
        if self.draining.is_set():
            raise ServerDraining
