"""Erasures as values."""

from __future__ import annotations

from collections.abc import Iterable

from runstore.v1 import admin_pb2
from runstore.values.erasures import Erasure, ErasureBlocker, ErasureState, SeqRange
from runstore.wire.messages import message_at
from runstore.wire.times import optional_time, time_value


def seq_range_messages(seqs: Iterable[SeqRange]) -> list[admin_pb2.SeqRange]:
    return [
        message_at(f"seqs[{at}].", admin_pb2.SeqRange, first_seq=first, last_seq=last)
        for at, (first, last) in enumerate(seqs)
    ]


def erasure_value(message: admin_pb2.Erasure) -> Erasure:
    return Erasure(
        erasure_id=message.erasure_id,
        state=ErasureState(message.state),
        record=message.record,
        at=time_value(message.at),
        runs=message.runs,
        erased_events=message.erased_events,
        blockers=tuple(
            ErasureBlocker(each.run_id, each.hold_id, each.archived) for each in message.blockers
        ),
        done_at=optional_time(message, "done_at"),
    )
