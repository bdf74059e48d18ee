"""tokens and credential_epoch: who may call, and when servers have to look again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from runstore_storage.contract.access import Principal
from runstore_storage.contract.admin import KnownToken, NewToken, Token, TokenCursor
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql.access import grants_json, grants_of, principal_json, principal_of

_SELECTED = """
    token_id, project, name, grants::text, created_by::text, created_at, expires_at, revoked_at,
    last_used_at
"""
_INSERT = tenant(f"""
    INSERT INTO tokens (project, token_id, name, secret_hash, grants, created_by, created_at,
                        expires_at)
    VALUES (:scope, :token_id, :name, :secret_hash, :grants::text::jsonb,
        :created_by::text::jsonb, now(), now() + make_interval(secs => :lifetime))
    RETURNING {_SELECTED}
""")
_FIND = system(f"SELECT {_SELECTED}, secret_hash FROM tokens WHERE token_id = :token_id")
_GET = tenant(f"""
    SELECT {_SELECTED} FROM tokens
    WHERE project = :project AND project = :scope AND token_id = :token_id
""")
_PAGE = tenant(f"""
    SELECT {_SELECTED} FROM tokens
    WHERE project = :project AND project = :scope
        AND (created_at, token_id) < (:created_at, :token_id)
    ORDER BY created_at DESC, token_id DESC LIMIT :limit
""")
_REVOKE = tenant(f"""
    UPDATE tokens SET revoked_at = clock_timestamp()
    WHERE project = :project AND project = :scope AND token_id = :token_id AND revoked_at IS NULL
    RETURNING {_SELECTED}
""")
_NOTE_USE = system("""
    UPDATE tokens SET last_used_at = used.at
    FROM unnest(:token_ids::text[], :times::timestamptz[]) AS used (token_id, at)
    WHERE tokens.token_id = used.token_id
        AND (tokens.last_used_at IS NULL OR tokens.last_used_at < used.at)
""")
_EPOCH = system("SELECT epoch FROM credential_epoch")
_NEXT_EPOCH = system("UPDATE credential_epoch SET epoch = epoch + 1")
_NEVER = datetime.max.replace(tzinfo=UTC)


async def insert(conn: Connection, new: NewToken, created_by: Principal) -> Token:
    """Make a token; raise `ScopeMismatch` for another project than the scope's."""
    in_scope(new.project)
    values = {
        "token_id": new.token_id,
        "name": new.name,
        "secret_hash": new.secret_hash,
        "grants": grants_json(new.grants),
        "created_by": principal_json(created_by),
        "lifetime": new.lifetime_seconds,
    }
    return _token((await conn.execute(_INSERT, values)).one())


async def find(conn: Connection, token_id: str) -> KnownToken | None:
    """One token of any project."""
    row = (await conn.execute(_FIND, {"token_id": token_id})).one_or_none()
    return KnownToken(_token(row), row["secret_hash"]) if row else None


async def get(conn: Connection, project: str, token_id: str) -> Token | None:
    values = {"project": project, "token_id": token_id}
    row = (await conn.execute(_GET, values)).one_or_none()
    return _token(row) if row else None


async def page(
    conn: Connection, project: str, *, limit: int, after: TokenCursor | None
) -> tuple[Token, ...]:
    """Tokens, newest first."""
    values = {
        "project": project,
        "created_at": after.created_at if after else _NEVER,
        "token_id": after.token_id if after else "",
        "limit": limit,
    }
    return tuple(_token(row) for row in await conn.execute(_PAGE, values))


async def revoke(conn: Connection, project: str, token_id: str) -> Token | None:
    """End a token; None where there is none that has not ended."""
    values = {"project": project, "token_id": token_id}
    row = (await conn.execute(_REVOKE, values)).one_or_none()
    return _token(row) if row else None


async def note_use(conn: Connection, used: Mapping[str, datetime]) -> None:
    ids = sorted(used)  # in one order, so that servers that note at once do not deadlock
    await conn.execute(_NOTE_USE, {"token_ids": ids, "times": [used[each] for each in ids]})


async def epoch(conn: Connection) -> int:
    found: int = (await conn.execute(_EPOCH)).scalar_one()
    return found


async def next_epoch(conn: Connection) -> None:
    await conn.execute(_NEXT_EPOCH)


def _token(row: Row) -> Token:
    return Token(
        token_id=row["token_id"],
        project=row["project"],
        name=row["name"],
        grants=grants_of(row["grants"]),
        created_by=principal_of(row["created_by"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
