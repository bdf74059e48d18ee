"""What the other nouns know of a run: its key, its state, and what a write may require of it.

Enum numbers equal those of the contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


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


class RunKey(NamedTuple):  # a tuple, as it is looked up several times in each append
    """The public identity of a run."""

    project: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What a write requires of the run; None requires nothing."""

    expected_seq: int | None = None
    writer_epoch: int | None = None


NO_GUARD = Guard()
