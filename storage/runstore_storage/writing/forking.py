"""Creating a fork, a run that begins with the history of another, inside a write transaction.

The history is not copied: events up to the fork's base, and snapshots and task writes put until
then, are read from the other run. The fork no longer sees a task write that the other run replaces
later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.configs.pinning import pin
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.errors import (
    RunCompleted,
    SeqAhead,
)
from runstore_storage.contract.runs import ForkBase, NewFork, NewRun, Run
from runstore_storage.database.connection import Connection
from runstore_storage.run_write import RunWrite, lock_run
from runstore_storage.sql import archived_events, events, heads, runs
from runstore_storage.sql.heads import Ancestor, Head
from runstore_storage.writing.births import first_head


async def fork_run(conn: Connection, fork: NewFork, salt: Salt) -> Head | None:
    """Create the fork and return its head; None if another writer took its id meanwhile."""
    write = await lock_run(conn, fork.key)
    # Its history would be read from rows.
    if write.head.archived_through:
        await archived_events.refuse_if_archived(conn, write.head.run, 0)
    source = await runs.get(conn, fork.key)
    at_seq = _at_seq(write, fork)
    lineage = _lineage(write, at_seq)
    new = replace(await _born(conn, source, fork, at_seq), salt=salt)
    inserted = await runs.insert(
        conn,
        new,
        parent=None,
        body_hash=chain.fork_request_hash(fork),
        fork_parent=write.head.run,
        lineage=lineage,
    )
    if inserted is None:
        return None
    # Whatever the other run gets from now on is later than all that the fork sees of it.
    write.advance_clock()
    await heads.update(conn, write.changed)
    previous = await _link_at(conn, write.head, at_seq)
    last_hash = chain.fork_hash(previous, chain.birth_hash(new))
    # The database's clock may be behind the other run's events; the fork's own come after them.
    begun_at = max(inserted.created_at, write.now)
    head = first_head(inserted.run, begun_at, last_hash, last_seq=at_seq, lineage=lineage)
    await heads.insert(conn, head)
    return head


async def _link_at(conn: Connection, head: Head, seq: int) -> bytes:
    """The hash that the event after `seq` would be bound to."""
    if seq == head.last_seq:
        return head.last_hash
    segments = [segment for segment in head.segments if segment.first_seq <= seq + 1]
    births = await runs.get_many(conn, [segment.run for segment in segments])
    link = b""
    for number, segment in enumerate(segments):
        birth = chain.birth_hash(births[segment.run].born)
        link = chain.fork_hash(link, birth) if number else birth
        last = min(segment.last_seq, seq)
        if last >= segment.first_seq:
            link = await events.hash_at(conn, segment.run, last) or b""
    return link


def _at_seq(write: RunWrite, fork: NewFork) -> int:
    """The seq at which the fork begins; always before the terminal event of a completed run."""
    head = write.head
    if fork.at_seq > head.last_seq:
        raise SeqAhead(fork.key.run_id, fork.at_seq, head.last_seq)
    last = head.last_seq - 1 if head.is_completed else head.last_seq
    if fork.at_seq > last:
        raise RunCompleted(fork.key.run_id, head.last_seq)
    return fork.at_seq or last


def _lineage(write: RunWrite, at_seq: int) -> tuple[Ancestor, ...]:
    """The history up to `at_seq`: the other run's own lineage, and the other run."""
    head, first_seq, lineage = write.head, 1, []
    for each in (*head.lineage, Ancestor(head.run, head.last_seq, write.now)):
        has_events = each.has_events and first_seq <= at_seq + 1
        lineage.append(Ancestor(each.run, min(each.last_seq, at_seq), each.until, has_events))
        if each.has_events:
            first_seq = each.last_seq + 1
    return tuple(lineage)


async def _born(conn: Connection, source: Run, fork: NewFork, at_seq: int) -> NewRun:
    given = await pin(conn, fork.key.project, fork.config_refs)
    return replace(
        source.born,
        run_id=fork.fork_run_id,
        objective=source.born.objective if fork.objective is None else fork.objective,
        config_refs=_replaced(source.born.config_refs, given),
        tags=fork.tags,
        labels=fork.labels,
        parent_run_id="",
        external_ref=None,
        fork_base=ForkBase(fork.key.run_id, at_seq),
    )


def _replaced(pins: Sequence[ConfigRef], given: Sequence[ConfigRef]) -> tuple[ConfigRef, ...]:
    names = {(each.kind, each.name) for each in given}
    return (*(each for each in pins if (each.kind, each.name) not in names), *given)
