"""Payloads."""

from __future__ import annotations

from runstore.v1.payloads_pb2 import Payload as PayloadMessage
from runstore_storage.records import Part, Payload, Ref


def payload_of(message: PayloadMessage) -> Payload:
    content = message.json if message.WhichOneof("content") == "json" else message.binary
    return Payload(content, message.content_type)


def part_of(message: PayloadMessage) -> Part:
    if message.WhichOneof("content") == "ref":
        return Ref(message.ref)
    return payload_of(message)


def payload_message(payload: Part) -> PayloadMessage:
    if isinstance(payload, Ref):
        return PayloadMessage(ref=payload.sha256)
    if isinstance(payload.content, str):
        return PayloadMessage(json=payload.content, content_type=payload.content_type)
    return PayloadMessage(binary=payload.content, content_type=payload.content_type)
