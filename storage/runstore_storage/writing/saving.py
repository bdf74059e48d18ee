"""Creating a run inside its write transaction, or recognising one that exists."""

from __future__ import annotations

from dataclasses import replace

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.configs.pinning import pin
from runstore_storage.contract.heads import Guard, RunKey
from runstore_storage.contract.runs import NewFork, NewRun, SavedRun
from runstore_storage.contract.scope import scoped
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database
from runstore_storage.database.threads import THREAD_ITEMS, run_in_thread_if_large
from runstore_storage.ids import new_id
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.run_write import RunWrite, store
from runstore_storage.salts import Salts
from runstore_storage.sql import heads, runs
from runstore_storage.sql.runs import Inserted
from runstore_storage.writing.births import first_head, is_born
from runstore_storage.writing.completing import PreparedCompletion, complete, prepare_completion
from runstore_storage.writing.forking import fork_run
from runstore_storage.writing.room import Room


class RunSaver:
    """Saves runs."""

    def __init__(self, engine: Database, offloading: Offloading, salts: Salts, room: Room) -> None:
        self._engine = engine
        self._offloading = offloading
        self._salts = salts
        self._room = room

    async def prepare(self, new: NewRun) -> tuple[NewRun, PreparedCompletion | None]:
        """Give the run a salt, and an id if it lacks one, and hash and compress its completion."""
        named = replace(new, run_id=new.run_id or new_id(), salt=self._salts.one())
        if named.completion is None:
            return named, None
        key = RunKey(named.project, named.run_id)
        return named, await prepare_completion(
            self._engine, self._offloading, self._salts, key, named.completion
        )

    async def save(
        self, conn: Connection, new: NewRun, completion: PreparedCompletion | None
    ) -> SavedRun:
        """Create the run with its head and completion, or return the run that exists."""
        key, body_hash = RunKey(new.project, new.run_id), await _save_hash(new)
        while not await is_born(conn, key, body_hash):
            parent = await self._parent(conn, new)
            # A repetition is known by the request as sent; the run gets what labels point to now.
            pinned = replace(new, config_refs=await pin(conn, new.project, new.config_refs))
            inserted = await runs.insert(conn, pinned, parent=parent, body_hash=body_hash)
            if inserted:
                await self._begin(conn, key, pinned, inserted, completion)
                return SavedRun(await runs.get(conn, key), deduplicated=False)
        return SavedRun(await runs.get(conn, key), deduplicated=True)

    async def fork(self, conn: Connection, fork: NewFork, salt: Salt) -> SavedRun:
        """Create the fork, or return the fork that exists."""
        key = RunKey(fork.key.project, fork.fork_run_id)
        while not await is_born(conn, key, chain.fork_request_hash(fork)):
            if head := await fork_run(conn, fork, salt):
                await self._room.of(conn, head.run)
                return SavedRun(await runs.get(conn, key), deduplicated=False)
        return SavedRun(await runs.get(conn, key), deduplicated=True)

    async def _parent(self, conn: Connection, new: NewRun) -> int | None:
        if not new.parent_run_id:
            return None
        return await runs.number(conn, RunKey(new.project, new.parent_run_id))

    async def _begin(
        self,
        conn: Connection,
        key: RunKey,
        new: NewRun,
        inserted: Inserted,
        completion: PreparedCompletion | None,
    ) -> None:
        await self._room.of(conn, inserted.run)
        is_external = new.external_ref is not None and new.external_ref.owns_status
        head = first_head(
            inserted.run, inserted.created_at, chain.birth_hash(new), is_external=is_external
        )
        await heads.insert(conn, head)
        if completion:
            write = RunWrite(scoped(key), head, inserted.created_at)
            await complete(conn, write, completion, Guard())
            await store(conn, [write])


async def _save_hash(new: NewRun) -> bytes:
    items = new.completion.items if new.completion else 0
    return await run_in_thread_if_large(items, chain.save_hash, new, most=THREAD_ITEMS)
