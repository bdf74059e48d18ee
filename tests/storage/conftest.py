"""What tests of the storage share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import row_policies
from conftest import make_store
from database import AS_SERVICE, url_as
from runstore_storage.database import rights
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore


@pytest.fixture(scope="session", autouse=True)
def told_of_scopes() -> Iterator[None]:
    """With row policies, stores tell Postgres what each of their statements may touch."""
    with pytest.MonkeyPatch.context() as patch:
        if AS_SERVICE:
            row_policies.tell(patch)
        yield


@pytest_asyncio.fixture
async def other(database_url: str, db_schema: str) -> AsyncIterator[PostgresStore]:
    """What another process would be."""
    opened = make_store(database_url, db_schema)
    yield opened
    await opened.close()


@pytest.fixture
async def owner(database_url: str, own_schema: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the role that owns the schema."""
    opened = await connect(database_url, schema=own_schema, name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def role(owner: asyncpg.Connection, own_schema: str) -> AsyncIterator[str]:
    """A role that was given the service's rights."""
    name = f"runstore_role_{uuid4().hex[:8]}"
    await owner.execute(f"CREATE ROLE {name}")
    await rights.give(owner, own_schema, name)
    yield name
    await owner.execute(f"DROP OWNED BY {name}")
    await owner.execute(f"DROP ROLE {name}")


@pytest.fixture
async def serving(
    database_url: str, own_schema: str, role: str
) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the service's role."""
    opened = await connect(url_as(database_url, role), schema=own_schema, name="test")
    assert await opened.fetchval("SELECT current_user") == role
    yield opened
    await opened.close()
