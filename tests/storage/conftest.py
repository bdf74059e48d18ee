"""What tests of the storage share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from conftest import make_store
from runstore_storage.postgres import PostgresStore


@pytest_asyncio.fixture
async def other(database_url: str, db_schema: str) -> AsyncIterator[PostgresStore]:
    """What another process would be."""
    opened = make_store(database_url, db_schema)
    yield opened
    await opened.close()
