"""Row-level security as an oracle: Postgres itself says which rows a call of a project may touch.

The store does without, as policies take its indexes away; its statements compare with the scope
instead. Under these policies the rows of other projects are not there at all, so a statement that
answers as it does without them never needed more than its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import pytest
from runstore_storage.contract.scope import current_scope
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.statements import NO_VALUES, Kind, Statement

SCOPES = {"scopes", "head_scope"}
"""The parameters of statements for several calls that have the scope of each."""

_SETTING = "runstore.scopes"
EVERY = "*"
# A session of the store asks for statements to fail where a policy would hide rows.
TELL = f"SELECT set_config('{_SETTING}', $1, false), set_config('row_security', 'on', false)"
_MAY = f"""
    (current_setting('{_SETTING}') = '{EVERY}'
        OR '=' || project = ANY (string_to_array(current_setting('{_SETTING}'), E'\\n')))
"""
# What has no project of its own has that of its run or config. One that is made by the same
# statement is not there yet, so it is asked for those of other projects.
_OWNERS = {"run": "runs", "config": "configs"}
_FOREIGN = """
    CREATE FUNCTION foreign_{owners}() RETURNS SETOF bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC SELECT {key} FROM {owners} WHERE NOT {may}; END
"""
_COLUMNS = """
    SELECT relname, array_agg(attname) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND attnum > 0 AND NOT attisdropped
    GROUP BY relname
"""


async def add(conn: asyncpg.Connection) -> None:
    """Add the policies to the connection's schema; they hold for whoever is no owner of it."""
    for key, owners in _OWNERS.items():
        await conn.execute(_FOREIGN.format(key=key, owners=owners, may=_MAY))
    for table, columns in await conn.fetch(_COLUMNS):
        if may := _policy(set(columns)):
            await conn.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            await conn.execute(f"CREATE POLICY tenant ON {table} USING ({may}) WITH CHECK ({may})")


def _policy(columns: set[str]) -> str | None:
    """Which rows of a table with these columns a call may touch; None where it may touch any."""
    if "project" in columns:
        return _MAY
    for key, owners in _OWNERS.items():
        if key in columns:
            return f"{key} NOT IN (SELECT foreign_{owners}())"
    return None


def tell(patch: pytest.MonkeyPatch) -> None:
    """Have each connection of a store tell Postgres what its next statement may touch."""
    plain = Connection.execute

    async def execute(
        self: Connection, statement: Statement, values: Mapping[str, object] = NO_VALUES
    ) -> Rows:
        statement.arguments(values)  # refuses what is not sent anyway
        scopes = _scopes(statement, values)
        await self.driver.fetch(TELL, scopes)
        return await plain(self, statement, values)

    patch.setattr(Connection, "execute", execute)


def _scopes(statement: Statement, values: Mapping[str, object]) -> str:
    if statement.kind is Kind.SYSTEM:
        return EVERY
    if statement.kind is Kind.TENANT:
        return f"={current_scope().project}"
    given = {each for name in SCOPES & values.keys() for each in values[name]}  # type: ignore[attr-defined]
    return "\n".join(f"={each}" for each in sorted(given))
