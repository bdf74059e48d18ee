"""Outputs as messages, and back."""

from __future__ import annotations

from runstore.arguments import instance, member, only_known
from runstore.v1 import outputs_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.outputs import Completion, Outcome, Output, OutputFields
from runstore.values.payloads import Value
from runstore.wire.events import event_messages, usage_value
from runstore.wire.messages import message_of
from runstore.wire.payloads import optional_payload, payload_message
from runstore.wire.snapshots import snapshot_message
from runstore.wire.times import time_value


def output_message(payload: Value, fields: OutputFields) -> outputs_pb2.Output:
    only_known(fields, OutputFields)
    return message_of(
        outputs_pb2.Output,
        payload=payload_message(payload, "payload"),
        schema_hash=fields.get("schema_hash", ""),
        plan_version_id=fields.get("plan_version_id", ""),
        provenance=payload_message(fields.get("provenance"), "provenance"),
        statistics=payload_message(fields.get("statistics"), "statistics"),
    )


def output_value(message: outputs_pb2.Output) -> Output:
    return Output(
        payload=optional_payload(message, "payload"),
        schema_hash=message.schema_hash,
        plan_version_id=message.plan_version_id,
        provenance=optional_payload(message, "provenance"),
        statistics=optional_payload(message, "statistics"),
        usage=usage_value(message.usage),
        outcome=Outcome(message.outcome),
        revision=message.revision,
        completed_at=time_value(message.completed_at),
        salt=message.salt,
    )


def completion_message(completion: Completion) -> rpc.Completion:
    final = instance(completion, Completion, "completion").final_snapshot
    return message_of(
        rpc.Completion,
        outcome=outputs_pb2.Outcome.ValueType(member(completion.outcome, Outcome, "outcome")),
        events=event_messages(completion.events),
        output=output_message(completion.payload, completion.output),
        final_snapshot=None if final is None else snapshot_message(final, "final_snapshot."),
    )
