"""config_labels and config_label_moves: where labels point, and every version they pointed to."""

from __future__ import annotations

from runstore_storage.contract.configs import ConfigLabel, LabelChange, LabelMove
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes

_GET = tenant(f"""
    SELECT label, version, actor, moved_at FROM config_labels
    WHERE config = :config AND label = :label AND {scopes.HAS_CONFIG}
""")
_SET = tenant(f"""
    INSERT INTO config_labels (config, label, version, actor, moved_at)
    VALUES ({scopes.CONFIG}, :label, :version, :actor, :moved_at)
    ON CONFLICT ON CONSTRAINT pk_config_labels DO UPDATE
        SET version = excluded.version, actor = excluded.actor, moved_at = excluded.moved_at
""")
_REMOVE = tenant(f"""
    DELETE FROM config_labels WHERE config = :config AND label = :label AND {scopes.HAS_CONFIG}
""")
_MOVE = "label, from_version, to_version, actor, moved_at"
_RECORD = tenant(f"""
    INSERT INTO config_label_moves (config, label, from_version, to_version, actor, request_id,
                                    moved_at)
    VALUES ({scopes.CONFIG}, :label, :from_version, :to_version, :actor, :request_id,
            clock_timestamp())
    RETURNING {_MOVE}
""")
_FIND_MOVE = tenant(f"""
    SELECT {_MOVE} FROM config_label_moves
    WHERE config = :config AND label = :label AND request_id = :request_id AND request_id <> ''
      AND {scopes.HAS_CONFIG}
""")
_PAGE = tenant(f"""
    SELECT move, {_MOVE} FROM config_label_moves
    WHERE config = :config AND (:label = '' OR label = :label)
      AND (:before::bigint IS NULL OR move < :before) AND {scopes.HAS_CONFIG}
    ORDER BY move DESC LIMIT :limit
""")


async def get(conn: Connection, config: int, label: str) -> ConfigLabel | None:
    """Where a label points."""
    row = (await conn.execute(_GET, {"config": config, "label": label})).one_or_none()
    return ConfigLabel(**row) if row else None


async def move(
    conn: Connection, config: int, change: LabelChange, *, from_version: int
) -> LabelMove:
    """Point the label elsewhere, or remove it, and record that."""
    recorded = await conn.execute(
        _RECORD,
        {
            "config": config,
            "label": change.label,
            "from_version": from_version,
            "to_version": change.version,
            "actor": change.actor,
            "request_id": change.request_id,
        },
    )
    made = _move(recorded.one())
    where = {"config": config, "label": change.label}
    if change.version:
        values = {"version": change.version, "actor": change.actor, "moved_at": made.moved_at}
        await conn.execute(_SET, where | values)
    else:
        await conn.execute(_REMOVE, where)
    return made


async def find_move(conn: Connection, config: int, change: LabelChange) -> LabelMove | None:
    """The move that a request made before."""
    values = {"config": config, "label": change.label, "request_id": change.request_id}
    row = (await conn.execute(_FIND_MOVE, values)).one_or_none()
    return _move(row) if row else None


async def page(
    conn: Connection, config: int, label: str, *, limit: int, before: int | None
) -> list[tuple[int, LabelMove]]:
    """Moves beside their numbers, newest first."""
    values = {"config": config, "label": label, "limit": limit, "before": before}
    return [(row["move"], _move(row)) for row in await conn.execute(_PAGE, values)]


def _move(row: Row) -> LabelMove:
    return LabelMove(
        row["label"], row["from_version"], row["to_version"], row["actor"], row["moved_at"]
    )
