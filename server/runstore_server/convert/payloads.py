"""Payloads."""

from __future__ import annotations

from runstore.v1.payloads_pb2 import Payload as PayloadMessage
from runstore_storage.contract.payloads import Payload, Ref, SnapshotPart


def payload_of(message: PayloadMessage) -> Payload:
    content = message.json if message.WhichOneof("content") == "json" else message.binary
    return Payload(content, message.content_type)


def part_of(message: PayloadMessage) -> SnapshotPart:
    if message.WhichOneof("content") == "ref":
        return Ref(message.ref)
    return payload_of(message)


def payload_message(payload: SnapshotPart) -> PayloadMessage:
    message = PayloadMessage()
    set_payload(message, payload)
    return message


def set_payload(message: PayloadMessage, payload: SnapshotPart) -> None:
    if isinstance(payload, Ref):
        message.ref = payload.sha256
        return
    if isinstance(payload.content, str):
        message.json = payload.content
    else:
        message.binary = payload.content
    message.content_type = payload.content_type
