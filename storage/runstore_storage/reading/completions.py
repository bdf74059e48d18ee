"""What a run's terminal event says of the output and the final snapshot, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.events import Event
from runstore_storage.database.connection import Connection
from runstore_storage.database.threads import THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.payloads.compression import DamagedContent
from runstore_storage.payloads.offloading import Offloading, PayloadLost
from runstore_storage.snapshots.loading import with_all_parts
from runstore_storage.sql import outputs, snapshots
from runstore_storage.sql.heads import Head

# What reading something that is not as it was written may raise.
_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


async def problem_of(conn: Connection, head: Head, event: Event, offloading: Offloading) -> str:
    """What is not as a terminal event says; empty if all of it is.

    One of version 1 says nothing of the output and the snapshot that could be checked.
    """
    run = head.run
    try:
        fact: Mapping[str, Any] = json.loads(event.payload.data if event.payload else b"")
        if fact["outcome"] != head.outcome.name:
            return "the run's outcome is not what the event records"
        if "output_sealed" not in fact:
            return ""
        return await _problem(conn, run, fact, offloading)
    except _MALFORMED:
        return "what the event records is not as the store writes it"


async def _problem(
    conn: Connection, run: int, fact: Mapping[str, Any], offloading: Offloading
) -> str:
    if not await _is_output(conn, run, fact, offloading):
        return f"revision {fact['output_revision']} of the output is not what the event records"
    final = fact.get("final_snapshot")
    if final and not await _is_snapshot(conn, run, final):
        return "the final snapshot is not what the event records"
    return ""


async def _is_output(
    conn: Connection, run: int, fact: Mapping[str, Any], offloading: Offloading
) -> bool:
    stored = await outputs.get(conn, run, fact["output_revision"])
    if stored is None or stored.outcome.name != fact["outcome"]:
        return False
    try:
        payload = await offloading.load(stored.output.payload, conn)
    except PayloadLost:
        return False
    found = chain.output_hash(replace(stored.output, payload=payload))
    sealed: str = fact["output_sealed"]
    return chain.salted_hash(found, stored.salt).hex() == sealed


async def _is_snapshot(conn: Connection, run: int, final: Mapping[str, str]) -> bool:
    """Whether the snapshot is as it was put, or was deleted since, as it may be."""
    row = await snapshots.get(conn, run, final["namespace"], final["snapshot_id"])
    if row is None:
        return True
    try:
        stored = await with_all_parts(conn, row)
    except (DamagedContent, *_MALFORMED):  # damaged, or gone: with the snapshot, it may be
        return await snapshots.get(conn, run, final["namespace"], final["snapshot_id"]) is None
    assert stored
    snapshot = stored.snapshot
    found = await run_in_thread_if_large(
        snapshot.items, chain.snapshot_hash, snapshot, most=THREAD_ITEMS
    )
    return chain.salted_hash(found, row.salt).hex() == final["content_hash"]
