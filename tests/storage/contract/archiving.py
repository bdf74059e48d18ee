"""Runs that are archived step by step, and all that is read of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from runstore_storage.archives import archiving
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.archives import Archive, ArchiveState
from runstore_storage.contract.events import EVERY_EVENT, Event, EventPage
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ExternalRef, NewRun
from runstore_storage.database.statements import system
from runstore_storage.payloads.objects import project_folder
from runstore_storage.postgres import PostgresStore
from storage.contract.test_removals import ME, relayed

ANN = Principal(PrincipalKind.TOKEN, "ann", "")
_ROWS = system("""
    SELECT e.tableoid::regclass::text AS partition, e::text AS whole
    FROM events e JOIN runs r USING (run)
    WHERE r.project = :project AND r.run_id = :run_id ORDER BY seq
""")


def act(key: RunKey, method: str = "ArchiveRun", request_id: str = "") -> Act:
    return Act(
        key.project, method, f"runs/{key.run_id}", ANN, (), "peer", "call", request_id,
        json.dumps({"run_id": key.run_id}),
    )  # fmt: skip


@pytest.fixture
def cleared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files from which nothing is read any more are not kept for backups."""
    monkeypatch.setattr(archiving, "KEPT", timedelta(0))


async def decided(
    store: PostgresStore, key: RunKey, expected_last_seq: int | None = None, request_id: str = ""
) -> Archive:
    archive, _ = await store.archives.archive_run(
        key, expected_last_seq=expected_last_seq, act=act(key, request_id=request_id)
    )
    return archive


async def restored(store: PostgresStore, key: RunKey, request_id: str = "") -> Archive:
    return (await store.archives.restore_run(key, act(key, "RestoreRun", request_id)))[0]


async def step(store: PostgresStore, holder: str = ME) -> int | None:
    """Do the next that the duty does of removals and archives; as they return."""
    done = await store.removals.remove(holder)
    return await store.archives.archive(holder) if done == 0 else done


async def all_done(store: PostgresStore) -> None:
    """Do all steps there are."""
    while await step(store):
        pass


async def state_of(store: PostgresStore, key: RunKey) -> ArchiveState:
    """How far the newest archive of a run has come."""
    asked = """
        SELECT a.state FROM archives a JOIN runs r USING (run)
        WHERE r.project = :project AND r.run_id = :run_id ORDER BY n DESC LIMIT 1
    """
    async with store._engine.connect() as conn:
        values = {"project": key.project, "run_id": key.run_id}
        return ArchiveState((await conn.execute(system(asked), values)).scalar_one())


async def until(store: PostgresStore, key: RunKey, state: ArchiveState) -> None:
    """Do steps until a run's archive is so far."""
    while await state_of(store, key) < state:
        assert await step(store)


async def archived(store: PostgresStore, key: RunKey) -> Archive:
    """Archive a run, all of the way."""
    archive = await decided(store, key)
    await relayed(store)
    await all_done(store)
    assert await state_of(store, key) is ArchiveState.DONE
    return archive


async def rows_of(store: PostgresStore, key: RunKey) -> list[tuple[object, ...]]:
    """The rows of a run's events, all of their columns as they are."""
    async with store._engine.connect() as conn:
        values = {"project": key.project, "run_id": key.run_id}
        return [tuple(row) for row in await conn.execute(_ROWS, values)]


async def pages(
    store: PostgresStore, key: RunKey, *, limit: int = 9, read_archive: bool = False
) -> list[EventPage]:
    """All pages of a run."""
    found: list[EventPage] = []
    from_seq = 1
    while not found or not found[-1].reaches_end:
        found.append(
            await store.read_events(
                key, from_seq, limit=limit, where=EVERY_EVENT, read_archive=read_archive
            )
        )
        from_seq = found[-1].next_from_seq
    return found


def folder_of(store: PostgresStore, key: RunKey) -> Path:
    """Where the archives of a project are."""
    folder = store._archived.objects._folder
    assert folder
    return folder / project_folder(key.project) / "archives"


def files(store: PostgresStore, key: RunKey) -> list[Path]:
    return sorted(each for each in folder_of(store, key).rglob("*") if each.is_file())


async def external(store: PostgresStore, run_id: str = "run", events: int = 4) -> RunKey:
    """A run that may grow and be archived at any time."""
    ref = ExternalRef("airflow", "7", owns_status=True)
    key = (await store.save_run(NewRun("p", run_id, external_ref=ref))).run.key
    if events:
        await store.append_events(
            key, [Event("a", f"e{n}", payload=Payload(str(n))) for n in range(events)]
        )
    return key


Reads = dict[str, Callable[[PostgresStore, RunKey, bool], Awaitable[object]]]
READS: Reads = {
    "read": lambda store, key, archive: store.read_events(key, 1, limit=99, read_archive=archive),
    "replay": lambda store, key, archive: store.replay_run(
        key, 2, namespace="", limit=99, read_archive=archive
    ),
    "verify": lambda store, key, archive: store.verify_run(
        key, from_seq=1, max_events=0, read_archive=archive
    ),
}
