"""What a connection's role may do in a schema, and what of it is missing."""

from __future__ import annotations

import asyncpg

# Partitions need no rights of their own: they are reached through their table.
_MISSING = """
    SELECT 'USAGE on schema ' || nspname AS what FROM pg_namespace
    WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT string_agg(needed, ', ') || ' on ' || nspname || '.' || relname
    FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid,
        unnest(CASE WHEN relname = $2 THEN '{SELECT}'
                    ELSE '{SELECT,INSERT,UPDATE,DELETE}' END::text[]) AS needed
    WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT relispartition
        AND NOT has_table_privilege(c.oid, needed)
    GROUP BY nspname, relname ORDER BY 1
"""


_MISSING_TO_MIGRATE = """
    SELECT 'CREATE on database ' || current_database() AS what
    WHERE to_regnamespace(quote_ident($1)) IS NULL
        AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT right_to || ' on schema ' || nspname FROM pg_namespace, unnest('{USAGE,CREATE}'::text[])
        AS right_to
    WHERE nspname = $1 AND NOT has_schema_privilege(oid, right_to)
    UNION ALL
    SELECT 'the ownership of ' || nspname || '.' || relname
    FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
    WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT relispartition
        AND NOT pg_has_role(relowner, 'USAGE')
    ORDER BY 1
"""


class MissingRights(Exception):
    """The role lacks rights that its work needs; the message names each."""

    def __init__(self, role: str, missing: list[str]) -> None:
        super().__init__(
            f"the role {role} lacks {'; '.join(missing)};"
            " docs/deploy.md has the grants of each role"
        )


async def may_serve(conn: asyncpg.Connection, schema: str, *, read_only: str) -> None:
    """Raise `MissingRights` unless the role may read and write every table of the schema.

    The table `read_only` has to be readable only.
    """
    await _refuse_if_any(conn, _MISSING, schema, read_only)


async def may_migrate(conn: asyncpg.Connection, schema: str) -> None:
    """Raise `MissingRights` unless the role may make the schema, or change all that is in it."""
    await _refuse_if_any(conn, _MISSING_TO_MIGRATE, schema)


async def _refuse_if_any(conn: asyncpg.Connection, query: str, *values: str) -> None:
    missing = [row["what"] for row in await conn.fetch(query, *values)]
    if missing:
        raise MissingRights(await conn.fetchval("SELECT current_user"), missing)
