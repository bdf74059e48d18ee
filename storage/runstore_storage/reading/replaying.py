"""Replaying a run: its state at a seq, put together in one consistent read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore_storage.configs.bodies import with_body
from runstore_storage.contract.configs import ConfigKey, ConfigRef, PinnedConfig, VersionSelector
from runstore_storage.contract.errors import SeqAhead
from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ReplayedRun, Run
from runstore_storage.contract.snapshots import SnapshotSelector
from runstore_storage.database.connection import Connection
from runstore_storage.reading.paging import event_page
from runstore_storage.snapshots.loading import load_snapshot
from runstore_storage.sql import configs
from runstore_storage.sql.heads import Head


@dataclass(frozen=True, slots=True)
class Replay:
    """A request to replay a run; `at_seq` None means its last event."""

    at_seq: int | None
    namespace: str
    limit: int


async def replay(conn: Connection, run: Run, head: Head, request: Replay) -> ReplayedRun:
    """Read the state at the seq; raise `SeqAhead` if the run has not reached it."""
    at_seq = head.last_seq if request.at_seq is None else request.at_seq
    if at_seq > head.last_seq:
        raise SeqAhead(run.key.run_id, at_seq, head.last_seq)
    then = head._replace(last_seq=at_seq)
    selector = SnapshotSelector(at_seq=at_seq)
    snapshot, writes = await load_snapshot(conn, then, request.namespace, selector)
    page = await event_page(
        conn,
        then,
        (snapshot.snapshot.seq if snapshot else 0) + 1,
        limit=request.limit,
        where=EventFilter(),
    )
    pins = await _pinned(conn, run.key.project, run.born.config_refs)
    return ReplayedRun(run, at_seq, snapshot, writes, page, pins)


async def _pinned(
    conn: Connection, project: str, refs: Sequence[ConfigRef]
) -> tuple[PinnedConfig, ...]:
    return tuple([PinnedConfig(ref, await _body(conn, project, ref)) for ref in refs])


async def _body(conn: Connection, project: str, ref: ConfigRef) -> Payload | None:
    config = await configs.find(conn, ConfigKey(project, ref.kind, ref.name))
    selector = VersionSelector(digest=ref.digest)
    found = await configs.get(conn, config, selector) if config else None
    return (await with_body(*found)).body if found else None
