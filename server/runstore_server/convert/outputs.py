"""Outputs and completions."""

from __future__ import annotations

from runstore.v1 import outputs_pb2, run_service_pb2
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Completion, Output, StoredOutput
from runstore_storage.contract.snapshots import SnapshotReason

from runstore_server.convert.events import events_of, usage_message
from runstore_server.convert.payloads import payload_message, payload_of
from runstore_server.convert.snapshots import snapshot_of
from runstore_server.convert.times import timestamp


def output_of(message: outputs_pb2.Output) -> Output:
    return Output(
        payload=payload_of(message.payload) if message.HasField("payload") else None,
        schema_hash=message.schema_hash,
        plan_version_id=message.plan_version_id,
        provenance=payload_of(message.provenance) if message.HasField("provenance") else None,
        statistics=payload_of(message.statistics) if message.HasField("statistics") else None,
    )


def output_message(stored: StoredOutput) -> outputs_pb2.Output:
    output = stored.output
    return outputs_pb2.Output(
        payload=payload_message(output.payload) if output.payload else None,
        schema_hash=output.schema_hash,
        plan_version_id=output.plan_version_id,
        provenance=payload_message(output.provenance) if output.provenance else None,
        statistics=payload_message(output.statistics) if output.statistics else None,
        usage=usage_message(stored.usage),
        outcome=outputs_pb2.Outcome.ValueType(stored.outcome),
        revision=stored.revision,
        completed_at=timestamp(stored.completed_at),
        salt=stored.salt or b"",
    )


def completion_of(
    message: run_service_pb2.Completion | run_service_pb2.CompleteRunRequest,
) -> Completion:
    """The completion; a final snapshot without a reason gets FINAL."""
    return Completion(
        outcome=Outcome(message.outcome),
        events=events_of(message.events),
        output=output_of(message.output) if message.HasField("output") else Output(),
        final_snapshot=snapshot_of(message.final_snapshot, SnapshotReason.FINAL)
        if message.HasField("final_snapshot")
        else None,
    )
