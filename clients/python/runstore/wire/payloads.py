"""Payloads as messages, and back."""

from __future__ import annotations

from google.protobuf.message import Message

from runstore.arguments import not_of, text
from runstore.v1 import payloads_pb2
from runstore.values.payloads import BYTES, Payload, Ref, Value, payload_of
from runstore.wire.messages import message_at


def payload_message(value: Value, name: str) -> payloads_pb2.Payload | None:
    """The message of the payload argument `name`; None for None."""
    if value is None:
        return None
    if isinstance(value, Ref):
        return message_at(f"{name}.", payloads_pb2.Payload, ref=value.sha256)
    payload = payload_of(value, name)
    content_type = text(payload.content_type, f"{name}.content_type")
    if isinstance(payload.content, str):
        json = text(payload.content, f"{name}.content")
        return payloads_pb2.Payload(json=json, content_type=content_type)
    if isinstance(payload.content, BYTES):
        return payloads_pb2.Payload(binary=bytes(payload.content), content_type=content_type)
    raise not_of("str or bytes", payload.content, f"{name}.content")


def part_message(value: Value, name: str) -> payloads_pb2.Payload:
    """The message of a payload that has to be there: None is JSON's null."""
    given = Payload("null") if value is None else value
    return payload_message(given, name) or payloads_pb2.Payload()


def payload_value(message: payloads_pb2.Payload) -> Payload:
    content = message.json if message.WhichOneof("content") == "json" else message.binary
    return Payload(content, message.content_type)


def optional_payload(message: Message, field: str) -> Payload | None:
    """The payload in a field of the message; None if the field is not set."""
    return payload_value(getattr(message, field)) if message.HasField(field) else None
