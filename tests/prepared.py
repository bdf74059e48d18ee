"""Events as a write prepares them, for tests without a database."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.chain import SALT_BYTES
from runstore_storage.contract.events import Event
from runstore_storage.prepared_events import PreparedEvent, prepare_events


def prepared(events: Sequence[Event], *, salted: bool = True) -> Sequence[PreparedEvent]:
    """The events, each with a salt of its own, or none with one."""
    salts = [number.to_bytes(SALT_BYTES) for number in range(len(events))]
    return prepare_events(events, salts if salted else [None] * len(events))
