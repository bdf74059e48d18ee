"""Fields are counted on the wire as protobuf finds them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from runstore.v1 import run_service_pb2 as rpc
from runstore_server.edge.wire import TooManyFields, count_fields

USAGE = {"input_tokens": 2**40, "duration": {"seconds": 5}}
EVENT: dict[str, Any] = {"type": "t" * 200, "tags": ["a", ""], "payload": {"json": "1"}}
REQUEST = rpc.SaveRunRequest(
    project="p",
    labels={"k": "v", "l": ""},
    completion={"events": [EVENT | {"usage": USAGE}, EVENT, {}], "output": {"payload": {}}},
)


def fields_of(message: Message) -> int:
    """How many fields a message has, with those of the messages in it."""
    total = 0
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            total += 3 * len(value)  # the entry, its key and its value
            continue
        items = list(value) if field.is_repeated else [value]
        total += len(items) + sum(fields_of(item) for item in items if field.message_type)
    return total


def count(data: bytes, most: int = 10**6) -> int:
    return count_fields(data, rpc.SaveRunRequest.DESCRIPTOR, most)


def test_every_field_and_every_item_of_a_list_counts() -> None:
    assert count(REQUEST.SerializeToString()) == fields_of(REQUEST)


def test_no_more_are_counted_than_there_may_be() -> None:
    data, total = REQUEST.SerializeToString(), fields_of(REQUEST)

    assert count(data, total) == total
    with pytest.raises(TooManyFields):
        count(data, total - 1)
    with pytest.raises(TooManyFields):
        count(b"\x52\0" * 1000, 999)


# Numbers that no message of ours has: a varint, eight bytes, four bytes, some bytes, a group.
UNKNOWN = [
    b"\xf8\x7f\x80\x01",
    b"\xf9\x7f" + bytes(8),
    b"\xfd\x7f" + bytes(4),
    b"\xfa\x7f\x02hi",
    b"\xfb\x7f\x08\x01\xfc\x7f",
]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_unknown_fields_count_and_are_passed_over(unknown: bytes) -> None:
    rpc.SaveRunRequest.FromString(unknown)

    counted = count(unknown + b"\x0a\x01p")

    assert counted == (4 if unknown == UNKNOWN[-1] else 2)


@given(st.binary(max_size=40) | st.lists(st.sampled_from([*UNKNOWN, b"\x0a\x01p"])).map(b"".join))
def test_what_protobuf_takes_is_counted_and_nothing_else_is_raised(data: bytes) -> None:
    try:
        rpc.SaveRunRequest.FromString(data)
    except DecodeError:
        is_message = False
    else:
        is_message = True

    try:
        counted = count(data)
    except DecodeError:
        assert not is_message
    else:
        assert counted <= len(data)


@pytest.mark.parametrize("place", [b"", b"\x0a", b"\x08"], ids=["tag", "size", "number"])
def test_a_number_without_end_is_refused_after_ten_bytes(place: bytes) -> None:
    with pytest.raises(DecodeError):
        count(place + b"\x80" * (8 << 20) + b"\x01")
    assert count(b"\xf8\x7f" + b"\xff" * 9 + b"\x01") == 1
