"""duties: work on the feed that one process at a time does, and how far it has come."""

from __future__ import annotations

from runstore_storage.contract.feed import Duty, Lag
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

# The longest a duty stays with a holder that died.
LEASE_SECONDS = 4

# The part of a statement that keeps the duty with its holder until the transaction ends: one row,
# or none when it was lost before. Another process takes the duty over either before this, or after
# the transaction, and then goes on from the position that it leaves.
_HELD = "SELECT position FROM duties WHERE name = :duty AND holder = :holder FOR UPDATE"
HELD = f"held AS MATERIALIZED ({_HELD})"

IS_SINK = "starts_with(name, 'sink ')"
"""The condition that a duty delivers to a sink."""
GOES_ON = "(expires_at > now() - :idle::interval OR expires_at = '-infinity')"
"""The condition that a server has worked on a duty within `:idle`, or none yet. A lease ends when
its server stops."""
_LEASE = f"clock_timestamp() + interval '{LEASE_SECONDS} seconds'"

# It does not wait for the disk when it commits by itself: a crash of Postgres may undo a lease.
_TAKE = system(f"""
    WITH later AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE duties SET holder = :holder, expires_at = {_LEASE} FROM later
    WHERE name = :name AND (holder = :holder OR expires_at < clock_timestamp())
    RETURNING position
""")
_CREATE = system(f"""
    INSERT INTO duties (name, holder, expires_at) VALUES (:name, :holder, {_LEASE})
    ON CONFLICT ON CONSTRAINT pk_duties DO NOTHING
    RETURNING position
""")
_FENCE = system(_HELD)
_ADVANCE = system("""
    UPDATE duties SET position = :position WHERE name = :name AND holder = :holder
    RETURNING position
""")
_RELEASE = system("""
    UPDATE duties SET holder = '', expires_at = clock_timestamp()
    WHERE name = :name AND holder = :holder
""")
_RESTART = system(f"""
    INSERT INTO duties (name, holder, expires_at) VALUES (:name, :holder, {_LEASE})
    ON CONFLICT ON CONSTRAINT pk_duties DO UPDATE
    SET position = 0, holder = excluded.holder, expires_at = excluded.expires_at
""")
_POSITION = system("SELECT coalesce(max(position), 0) FROM duties WHERE name = :name")
_LAG = system("""
    SELECT greatest(relay.position - done.position, 0) AS events,
           coalesce(extract(epoch FROM clock_timestamp() - (
               SELECT published_at FROM feed WHERE last_position > done.position
               ORDER BY last_position LIMIT 1
           )), 0)::double precision AS seconds
    FROM (SELECT coalesce(max(position), 0) AS position FROM duties WHERE name = :name) AS done,
         (SELECT coalesce(max(position), 0) AS position FROM duties WHERE name = 'relay') AS relay
""")
_LIST = system("""
    SELECT name, position,
           CASE WHEN expires_at < clock_timestamp() THEN '' ELSE holder END AS holder
    FROM duties ORDER BY name
""")


async def take(conn: Connection, name: str, holder: str) -> int | None:
    """Take or renew a duty; its position, or None while another process holds it.

    Each statement is to be its own transaction: nothing else may commit without the disk.
    """
    values = {"name": name, "holder": holder}
    position: int | None = (await conn.execute(_TAKE, values)).scalar_one_or_none()
    if position is None:
        position = (await conn.execute(_CREATE, values)).scalar_one_or_none()
    return position


async def fence(conn: Connection, name: str, holder: str) -> int | None:
    """Keep the duty with its holder until the transaction ends; None when it was lost before."""
    found = await conn.execute(_FENCE, {"duty": name, "holder": holder})
    position: int | None = found.scalar_one_or_none()
    return position


async def advance(conn: Connection, name: str, holder: str, position: int) -> int | None:
    """Set how far the duty has come; None when the holder has lost it."""
    found = await conn.execute(_ADVANCE, {"name": name, "holder": holder, "position": position})
    advanced: int | None = found.scalar_one_or_none()
    return advanced


async def release(conn: Connection, name: str, holder: str) -> None:
    """Let the next process that asks take the duty."""
    await conn.execute(_RELEASE, {"name": name, "holder": holder})


async def restart(conn: Connection, name: str, holder: str) -> None:
    """Take the duty from its holder, and set it back to position 0."""
    await conn.execute(_RESTART, {"name": name, "holder": holder})


async def position_of(conn: Connection, name: str) -> int:
    """How far a duty has come; 0 where it was never taken."""
    return int((await conn.execute(_POSITION, {"name": name})).scalar_one())


async def lag(conn: Connection, name: str) -> Lag:
    """How far a duty is behind the feed's end."""
    row = (await conn.execute(_LAG, {"name": name})).one()
    return Lag(row["events"], max(row["seconds"], 0.0))


async def every(conn: Connection) -> tuple[Duty, ...]:
    """All duties by name; one whose lease has expired has no holder."""
    return tuple(Duty(**row) for row in await conn.execute(_LIST))
