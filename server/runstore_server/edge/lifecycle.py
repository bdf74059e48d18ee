"""Whether the server accepts calls or is draining."""

from __future__ import annotations

import asyncio

from runstore_server.edge.errors import ServerDraining


class Lifecycle:
    """Shared by every call of the process."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()

    def check(self) -> None:
        """Raise `ServerDraining` if the server begins nothing new."""
        if self.draining.is_set():
            raise ServerDraining
