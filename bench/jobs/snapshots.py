"""A run that puts its state after every step, by us and by LangGraph's saver for Postgres.

The state is 100 KB in 50 parts; a step changes 1 KB of one part. Both sides are given the same
values and turn them into bytes within the time that is measured.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.snapshots_pb2 import SnapshotReason

from bench.jobs.appends import PROJECT
from bench.jobs.channels import stub
from bench.payloads import words

PARTS = 50
PART_BYTES = 2000
CHANGED_BYTES = 1000

State = dict[str, dict[str, str]]

_states: dict[str, tuple[State, int]] = {}
_hashes: dict[str, dict[str, bytes]] = {}


def _next(run: str) -> tuple[State, list[str]]:
    """The run's state after one more step, and the names of the parts that are not as before."""
    if run not in _states:
        kept, changing = PART_BYTES - CHANGED_BYTES - 30, CHANGED_BYTES
        state = {
            f"part-{n}": {"kept": words(kept), "changing": words(changing)} for n in range(PARTS)
        }
        _states[run] = state, 0
        return state, list(state)
    before, step = _states[run]
    name = f"part-{step % PARTS}"
    state = before | {name: before[name] | {"changing": words(CHANGED_BYTES)}}
    _states[run] = state, step + 1
    return state, [name]


async def put(address: str, run: str, steps: int, by_ref: bool) -> dict[str, Any]:
    """PutSnapshot; unchanged parts go as they are, or by their hashes."""
    times = []
    for _ in range(steps):
        state, changed = _next(run)
        began = time.perf_counter()
        request = rpc.PutSnapshotRequest(project=PROJECT, run_id=run)
        request.snapshot.reason = SnapshotReason.SNAPSHOT_REASON_CHECKPOINT
        known = _hashes.setdefault(run, {})
        for name, value in state.items():
            if by_ref and name not in changed:
                request.snapshot.state[name].ref = known[name]
            else:
                text = json.dumps(value)
                known[name] = hashlib.sha256(text.encode()).digest()
                request.snapshot.state[name].CopyFrom(Payload(json=text))
        await stub(address).PutSnapshot(request)
        times.append((time.perf_counter() - began) * 1000)
    return {"times": times}


async def aput(url: str, schema: str, run: str, steps: int, in_one: bool) -> dict[str, Any]:
    """AsyncPostgresSaver.aput; a channel holds a part, or one channel all of them."""
    saver = await postgres_saver(url, schema)
    times = []
    for _ in range(steps):
        state, changed = _next(run)
        values = {"state": state} if in_one else state
        names = ["state"] if in_one else changed
        began = time.perf_counter()
        config, versions = _configs[run] if run in _configs else (_first(run), {})
        new = {name: saver.get_next_version(versions.get(name), None) for name in names}
        checkpoint = {
            "v": 4,
            "id": f"{len(times) + time.time_ns():032x}",
            "ts": "2026-01-01T00:00:00+00:00",
            "channel_values": values,
            "channel_versions": versions | new,
            "versions_seen": {},
            "updated_channels": names,
        }
        metadata = {"source": "loop", "step": len(times), "parents": {}}
        config = await saver.aput(config, checkpoint, metadata, new)
        _configs[run] = config, versions | new
        times.append((time.perf_counter() - began) * 1000)
    return {"times": times}


_savers: dict[str, Any] = {}
_configs: dict[str, tuple[Any, dict[str, str]]] = {}


def _first(run: str) -> Any:
    return {"configurable": {"thread_id": run, "checkpoint_ns": ""}}


async def postgres_saver(url: str, schema: str) -> Any:
    """A saver with a connection of its own, as its `from_conn_string` opens one."""
    if schema not in _savers:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415 - see below
        from psycopg import AsyncConnection  # noqa: PLC0415 - only this job needs them
        from psycopg.rows import dict_row  # noqa: PLC0415

        connection = await AsyncConnection.connect(
            url,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            options=f"-c search_path={schema} -c synchronous_commit=on",
        )
        _savers[schema] = AsyncPostgresSaver(connection)
        await _savers[schema].setup()
    return _savers[schema]
