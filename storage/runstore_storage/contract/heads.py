"""A run as every other noun sees it: its key, its state, and what a write may require of them.

Enum numbers equal those of the contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class RunStatus(IntEnum):
    RUNNING = 1
    PAUSED = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXTERNAL = 6


class Outcome(IntEnum):
    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class RunKey:
    """The public identity of a run."""

    project: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold for a write to be accepted; None asks for nothing."""

    expected_seq: int | None = None
    writer_epoch: int | None = None


NO_GUARD = Guard()
