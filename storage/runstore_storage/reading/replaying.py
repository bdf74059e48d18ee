"""Replaying a run: its state at a seq, put together in one consistent read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore_storage.configs.bodies import with_body
from runstore_storage.contract.configs import ConfigKey, ConfigRef, PinnedConfig, VersionSelector
from runstore_storage.contract.errors import SeqAhead
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ReplayedRun
from runstore_storage.database.connection import Connection
from runstore_storage.snapshots.loading import with_all_parts
from runstore_storage.sql import configs, states
from runstore_storage.sql.heads import Head


@dataclass(frozen=True, slots=True)
class Replay:
    """A request to replay a run; `at_seq` None means its last event."""

    at_seq: int | None
    namespace: str
    limit: int
    read_archive: bool = False


async def replay(conn: Connection, key: RunKey, request: Replay) -> tuple[ReplayedRun, Head | None]:
    """Read the state at the seq; raise `SeqAhead` if the run has not reached it.

    Raise `EventsArchived` if events since the snapshot are archived. If the archive may be read,
    the head with which they end is returned instead, and none of them.
    """
    found = await states.read(
        conn, key, namespace=request.namespace, limit=request.limit, at_seq=request.at_seq
    )
    last_seq = found.head.last_seq
    at_seq = last_seq if request.at_seq is None else request.at_seq
    if at_seq > last_seq:
        raise SeqAhead(key.run_id, at_seq, last_seq)
    until = None
    if found.lacks_events:
        if not request.read_archive:
            raise found.archived
        until = found.head._replace(last_seq=at_seq)
    snapshot = await with_all_parts(conn, found.snapshot)
    pins = await _pinned(conn, key.project, found.run.born.config_refs)
    replayed = ReplayedRun(found.run, at_seq, snapshot, found.task_writes, found.events, pins)
    return replayed, until


async def _pinned(
    conn: Connection, project: str, refs: Sequence[ConfigRef]
) -> tuple[PinnedConfig, ...]:
    return tuple([PinnedConfig(ref, await _body(conn, project, ref)) for ref in refs])


async def _body(conn: Connection, project: str, ref: ConfigRef) -> Payload | None:
    config = await configs.find(conn, ConfigKey(project, ref.kind, ref.name))
    selector = VersionSelector(digest=ref.digest)
    found = await configs.get(conn, config, selector) if config else None
    return (await with_body(*found)).body if found else None
