"""Deciding that something of a run goes: noted with its record, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from runstore_storage.admin import records
from runstore_storage.admin.removable import birth_of, own_seqs
from runstore_storage.contract.admin import Act
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection
from runstore_storage.ids import new_id
from runstore_storage.sql import removals
from runstore_storage.sql.heads import Head


async def decide(
    conn: Connection, key: RunKey, head: Head, acts: Mapping[RemovalKind, Act]
) -> list[int]:
    """Let something of a run go, whose head is locked, each kind by an act; the numbers of the
    acts' records.
    """
    birth = await birth_of(conn, key)
    numbers = []
    for kind, act in acts.items():
        added = await records.record(conn, act, is_allowed=True, status=records.OK)
        await removals.begin(
            conn,
            key.project,
            head.run,
            kind=kind,
            removal_id=new_id(),
            birth=birth,
            seqs=own_seqs(head),
            record=added.number,
        )
        numbers.append(added.number)
    return numbers
