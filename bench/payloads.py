"""What is written: events with a payload of 400 bytes of words, as a tool would return them."""

from __future__ import annotations

import json
import random
from uuid import uuid4

from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload

PAYLOAD_BYTES = 400
VOCABULARY = 20_000
TEXTS = 512

_random = random.Random(1)
_words = [
    "".join(_random.choices("abcdefghijklmnopqrstuvwxyz", k=_random.randint(2, 10)))
    for _ in range(VOCABULARY)
]
_weights = [1 / rank for rank in range(1, VOCABULARY + 1)]


def words(characters: int) -> str:
    """A text of exactly so many characters, in which some words are common and most are rare."""
    text = ""
    while len(text) < characters:
        text += " ".join(_random.choices(_words, _weights, k=characters // 6 + 1)) + " "
    return text[:characters]


def _payload() -> str:
    frame = json.dumps({"role": "tool", "content": ""})
    return json.dumps({"role": "tool", "content": words(PAYLOAD_BYTES - len(frame))})


PAYLOADS = [_payload() for _ in range(TEXTS)]


def event() -> Event:
    """An event with an id of its own."""
    return Event(
        event_id=str(uuid4()),
        type="tool.returned",
        payload=Payload(json=_random.choice(PAYLOADS)),
        tool="search",
    )
