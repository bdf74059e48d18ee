"""The store itself, without a server before it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runstore_storage.postgres import PostgresStore


def opened(url: str, schema: str = "runstore") -> PostgresStore:
    """A store whose objects, if any, go to a folder of temporary files."""
    return PostgresStore(
        url,
        schema=schema,
        pool_size=4,
        append_lanes=1,
        poll_interval=2,
        objects_url=Path(tempfile.gettempdir(), "runstore-bench-objects").as_uri(),
        salted=True,
    )
