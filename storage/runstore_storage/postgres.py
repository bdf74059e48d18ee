"""The store on Postgres, put together. The contract is `Store`.

Each noun's transactions are in the `postgres` module of its package.
"""

from __future__ import annotations

from datetime import timedelta

from runstore_storage.admin.holds import PostgresHolds
from runstore_storage.admin.postgres import PostgresAdmin
from runstore_storage.archived.events import ArchivedEvents
from runstore_storage.archives.postgres import PostgresArchives
from runstore_storage.artifacts.postgres import PostgresArtifacts
from runstore_storage.configs.postgres import PostgresConfigs
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.in_flight import WritesInFlight
from runstore_storage.database.statements import system
from runstore_storage.erasures.archives import ArchivedRuns
from runstore_storage.erasures.ledger import PostgresLedger
from runstore_storage.erasures.postgres import PostgresErasures
from runstore_storage.feed.postgres import PostgresFeed
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import LargePayloads, Offloading
from runstore_storage.reading.history import History
from runstore_storage.reading.postgres import PostgresReading
from runstore_storage.reading.tails import Tails
from runstore_storage.reading.wakeups import Wakeups
from runstore_storage.removals.postgres import PostgresRemovals
from runstore_storage.retention.postgres import PostgresRetention
from runstore_storage.salts import Salts
from runstore_storage.search.postgres import PostgresSearch
from runstore_storage.snapshots.postgres import PostgresSnapshots
from runstore_storage.statistics.postgres import PostgresStatistics
from runstore_storage.writing.appender import Appender
from runstore_storage.writing.postgres import PostgresWriting
from runstore_storage.writing.room import Room

CONSUMER_IDLE = timedelta(days=30)

_TAKES_WRITES = system("SELECT current_setting('transaction_read_only') = 'off'")


class PostgresStore:
    """Runs in one schema of one Postgres. Make it inside a running event loop.

    `salted` is what `look_for_seal` asks the database. Archives are kept with the objects unless
    they have a URL of their own; a consumer that was not heard of for `consumer_idle` is not waited
    for.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str,
        pool_size: int,
        append_lanes: int,
        poll_interval: float,
        objects_url: str,
        archive_url: str = "",
        consumer_idle: timedelta = CONSUMER_IDLE,
        large_payloads: LargePayloads = LargePayloads(),  # noqa: B008 - frozen
        salted: bool = False,
    ) -> None:
        self._connections = connections = Connections(url, schema=schema)
        objects = Objects(objects_url)
        self._engine = engine = Database(connections, pool_size=pool_size)
        self._in_flight = in_flight = WritesInFlight()
        offloading = Offloading(engine, objects, large_payloads)
        archive_objects = Objects(archive_url or objects_url)
        self._archived = ArchivedEvents(archive_objects)
        history = History(engine, offloading, self._archived)
        runs = PostgresReading(engine, offloading, history)
        self._tails = Tails(runs.read_for_tail, runs.last_seqs, poll_interval=poll_interval)
        self._wakeups = wakeups = Wakeups(connections, self._tails, schema=schema)
        self._room = Room(engine)
        salts = Salts(engine, are_used=salted)
        writes = PostgresWriting(engine, offloading, in_flight, salts, wakeups.announce, self._room)
        snapshots = PostgresSnapshots(engine, offloading, in_flight, salts, wakeups.announce)
        self._appender = Appender(
            engine,
            connections,
            offloading,
            salts,
            wakeups.announce_appended,
            lanes=append_lanes,
        )
        self.feed = PostgresFeed(
            engine, wakeups, offloading, in_flight, poll_interval=poll_interval
        )
        self.search = PostgresSearch(engine, self.feed, self.feed.wanted)
        self.statistics = PostgresStatistics(engine, self.feed.counted, self.feed.wanted)
        self.admin = PostgresAdmin(engine, in_flight)
        self.holds = PostgresHolds(engine, in_flight)
        self.configs = PostgresConfigs(engine, in_flight)
        self.artifacts = PostgresArtifacts(engine, objects, in_flight)
        self.removals = PostgresRemovals(
            engine, objects, archive_objects, in_flight, wakeups.announce
        )
        self.archives = PostgresArchives(
            *(engine, objects, archive_objects, offloading, history, in_flight),
            *(wakeups.announce, self.removals.decided),
            idle=consumer_idle,
        )
        self.retention = PostgresRetention(engine, in_flight, self.removals.note_decided)
        archived = ArchivedRuns(engine, self.archives, self.archives.restoring.restore)
        self.erasures = PostgresErasures(
            *(engine, connections, objects, offloading, archived, in_flight),
            *(wakeups.announce, self.removals.decided),
        )

        self.ledger = PostgresLedger(engine, self.removals, self.erasures)

        self.look_for_seal = salts.look
        self.follow_seal = salts.follow

        # The methods of those nouns that `Store` has no property for.
        self.save_run = writes.save_run
        self.get_run = runs.get_run
        self.list_runs = runs.list_runs
        self.resume_run = writes.resume_run
        self.replay_run = runs.replay_run
        self.fork_run = writes.fork_run
        self.verify_run = runs.verify_run
        self.append_events = self._appender.append
        self.append_many = self._appender.append_many
        self.read_events = runs.read_events
        self.open_tail = self._tails.open
        self.put_snapshot = snapshots.put_snapshot
        self.put_task_writes = snapshots.put_task_writes
        self.get_snapshot = snapshots.get_snapshot
        self.list_snapshots = snapshots.list_snapshots
        self.delete_snapshots = snapshots.delete_snapshots
        self.complete_run = writes.complete_run
        self.get_output = runs.get_output

    async def check(self) -> None:
        async with reading(self._engine) as conn:
            if not (await conn.execute(_TAKES_WRITES)).scalar_one():
                await self._engine.renew()
                raise StorageUnavailable

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._room.warnings

    def wake_all(self) -> None:
        self._tails.wake_all()
        self.feed.published.wake()

    def abandon(self) -> None:
        self._connections.abandon()

    async def close(self) -> None:
        await self._appender.close()
        await self._in_flight.landed()
        await self.feed.close()
        await self._wakeups.close()
        await self._tails.close()
        await self._room.close()
        await self._engine.dispose()
        await self._connections.close()
        self._archived.close()
