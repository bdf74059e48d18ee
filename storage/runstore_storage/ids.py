"""Ids that the store assigns when the caller gave none."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A UUIDv7: unique, and sorted by age."""
    return str(uuid_utils.uuid7())
