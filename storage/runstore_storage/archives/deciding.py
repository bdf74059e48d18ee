"""Deciding that a run's events are archived: noted with its record, in one transaction."""

from __future__ import annotations

from runstore_storage.admin import records
from runstore_storage.admin.removable import birth_of, own_seqs
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import ArchiveNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection
from runstore_storage.sql import archive_states
from runstore_storage.sql.heads import Head


async def decide_archive(conn: Connection, key: RunKey, head: Head, act: Act) -> int:
    """Let the events of a run be archived, whose head is locked; the number of the act's record.

    Raise `ArchiveNotFound` if it has none of its own.
    """
    seqs = own_seqs(head)
    if not seqs[1]:
        raise ArchiveNotFound(key.run_id)
    added = await records.record(conn, act, is_allowed=True, status=records.OK)
    newest = await archive_states.newest(conn, key.project, head.run)
    # One that is under way is finished first, and has no less than it would have had.
    if newest is None or (newest.last_seq < seqs[1] and newest.state.is_settled):
        birth = await birth_of(conn, key)
        await archive_states.insert(
            conn, key.project, head.run, birth=birth, seqs=seqs, record=added.number
        )
    return added.number
