"""Calls about what is erased."""

from __future__ import annotations

from collections.abc import Sequence

from runstore.calls.call import ADMIN, Call
from runstore.ids import new_id
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.erasures import Erasure, SeqRange
from runstore.wire.erasures import erasure_value, seq_range_messages
from runstore.wire.messages import message_of


def erase_events(
    project: str, run_id: str, seqs: Sequence[SeqRange], reason: str, request_id: str
) -> Call[Erasure]:
    request = message_of(
        rpc.EraseEventsRequest,
        project=project,
        run_id=run_id,
        seqs=seq_range_messages(seqs),
        reason=reason,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "EraseEvents", request, lambda response: erasure_value(response.erasure))


def erase_subject(project: str, subject: str, reason: str, request_id: str) -> Call[Erasure]:
    request = message_of(
        rpc.EraseSubjectRequest,
        project=project,
        subject=subject,
        reason=reason,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "EraseSubject", request, lambda response: erasure_value(response.erasure))


def get_erasure(project: str, erasure_id: str) -> Call[Erasure]:
    request = message_of(rpc.GetErasureRequest, project=project, erasure_id=erasure_id)
    return Call(ADMIN, "GetErasure", request, lambda response: erasure_value(response.erasure))
