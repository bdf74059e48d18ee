"""What a connection's role may do in a schema, and what of it is missing."""

from __future__ import annotations

import asyncpg

from runstore_storage.database.service_rights import NEEDED_FUNCTIONS, SERVICE, grants

# What an older schema lacks is no matter of rights.
_MISSING = """
    SELECT 'USAGE on schema ' || nspname AS what FROM pg_namespace
    WHERE nspname = $1 AND NOT has_schema_privilege($4, oid, 'USAGE')
    UNION ALL
    SELECT string_agg(privilege, ', ') || ' on ' || nspname || '.' || relname
    FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
        JOIN unnest($2::text[], $3::text[]) AS needed(relation, privilege) ON relation = relname
    WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT has_table_privilege($4, c.oid, privilege)
    GROUP BY nspname, relname
    UNION ALL
    SELECT 'EXECUTE on ' || nspname || '.' || function
    FROM pg_namespace n JOIN pg_proc p ON pronamespace = n.oid
        JOIN unnest($5::text[]) AS function ON proname = split_part(function, '(', 1)
    WHERE nspname = $1 AND NOT has_function_privilege($4, p.oid, 'EXECUTE')
    ORDER BY 1
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


_OWNS = """
    SELECT EXISTS (
        SELECT FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
        WHERE nspname = $1 AND relkind IN ('r', 'p') AND pg_has_role($2, relowner, 'MEMBER'))
"""


class MissingRights(Exception):
    """The role lacks rights that its work needs; the message names each."""

    def __init__(self, role: str, missing: list[str]) -> None:
        super().__init__(
            f"the role {role} lacks {'; '.join(missing)};"
            " docs/deploy.md has the rights of each role"
        )


class OwnsAlready(Exception):
    """The role owns the tables, or has the rights of the role that does."""

    def __init__(self, role: str) -> None:
        super().__init__(f"the role {role} owns the tables, so there is nothing to give or take")


class NoRole(Exception):
    """The database has no role of the name."""

    def __init__(self, role: str) -> None:
        super().__init__(f"there is no role {role}: create it, with a login of its own, first")


async def may_serve(conn: asyncpg.Connection, schema: str, role: str | None = None) -> None:
    """Raise `MissingRights` unless the role, by default the connection's, may serve."""
    role = role or await conn.fetchval("SELECT current_user")
    needed = [(table, each) for table, all_ in SERVICE.items() for each in all_]
    tables, privileges = map(list, zip(*needed, strict=True))
    functions = list(NEEDED_FUNCTIONS)
    missing = await conn.fetch(_MISSING, schema, tables, privileges, role, functions)
    _refuse_if_any(role, missing)


async def may_migrate(conn: asyncpg.Connection, schema: str) -> None:
    """Raise `MissingRights` unless the role may make the schema, or change all that is in it."""
    missing = await conn.fetch(_MISSING_TO_MIGRATE, schema)
    _refuse_if_any(await conn.fetchval("SELECT current_user"), missing)


async def give(conn: asyncpg.Connection, schema: str, role: str) -> None:
    """Give a role what the service needs in a schema at its head, and take what it does not need.

    Raise `NoRole` if there is none of that name, `OwnsAlready` if it owns the tables, and
    `MissingRights` for what this connection's role may not give.
    """
    if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        raise NoRole(role)
    if await conn.fetchval(_OWNS, schema, role):
        raise OwnsAlready(role)
    async with conn.transaction():
        for statement in grants(schema, role):
            await conn.execute(statement)
        await may_serve(conn, schema, role)


def _refuse_if_any(role: str, missing: list[asyncpg.Record]) -> None:
    if missing:
        raise MissingRights(role, [row["what"] for row in missing])
