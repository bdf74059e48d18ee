"""Erasures."""

from __future__ import annotations

from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.erasures import Erasure, Seqs

from runstore_server.convert.times import timestamp


def seqs_of(request: rpc.EraseEventsRequest) -> list[Seqs]:
    return [Seqs(each.first_seq, each.last_seq) for each in request.seqs]


def erasure_message(erasure: Erasure) -> admin_pb2.Erasure:
    return admin_pb2.Erasure(
        erasure_id=erasure.erasure_id,
        state=admin_pb2.ErasureState.ValueType(erasure.state),
        record=erasure.record,
        at=timestamp(erasure.begun_at),
        runs=erasure.runs,
        erased_events=erasure.erased_events,
        blockers=[
            admin_pb2.ErasureBlocker(
                run_id=each.run_id, hold_id=each.hold_id, archived=each.is_archived
            )
            for each in erasure.blockers
        ],
        done_at=timestamp(erasure.done_at) if erasure.done_at else None,
    )
