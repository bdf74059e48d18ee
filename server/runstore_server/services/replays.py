"""RPCs that replay a run, and fork it."""

from __future__ import annotations

from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.runs import ReplayedRun, RunStore

from runstore_server.convert.events import event_message
from runstore_server.convert.payloads import payload_message
from runstore_server.convert.runs import config_ref_message, fork_of, key_of, run_message
from runstore_server.convert.snapshots import are_many, snapshot_message, task_write_message
from runstore_server.edge.requests import beside
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.validation.requests import admit


class Replays:
    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    async def ReplayRun(
        self, request: rpc.ReplayRunRequest, _context: Any
    ) -> rpc.ReplayRunResponse:
        await admit(request)
        replayed = await self._runs.replay_run(
            key_of(request),
            request.at_seq if request.HasField("at_seq") else None,
            namespace=request.namespace,
            limit=request.page_size or DEFAULT_LONG_PAGE,
            read_archive=request.read_archive,
        )
        many = are_many([replayed.snapshot], replayed.task_writes)
        return await beside(many, _replayed_message, replayed)

    async def ForkRun(self, request: rpc.ForkRunRequest, _context: Any) -> rpc.ForkRunResponse:
        await admit(request)
        saved = await self._runs.fork_run(fork_of(request))
        return rpc.ForkRunResponse(run=run_message(saved.run), deduplicated=saved.deduplicated)


def _replayed_message(replayed: ReplayedRun) -> rpc.ReplayRunResponse:
    return rpc.ReplayRunResponse(
        run=run_message(replayed.run),
        at_seq=replayed.at_seq,
        snapshot=snapshot_message(replayed.snapshot) if replayed.snapshot else None,
        task_writes=[task_write_message(write) for write in replayed.task_writes],
        events=[event_message(event) for event in replayed.events.events],
        next_from_seq=0 if replayed.events.reaches_end else replayed.events.next_from_seq,
        configs=[
            rpc.PinnedConfig(
                ref=config_ref_message(each.ref),
                body=payload_message(each.body) if each.body else None,
            )
            for each in replayed.configs
        ],
    )
