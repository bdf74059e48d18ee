"""What a sink promises to the code that brings it the feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runstore_storage.contract.feed import FeedEntry


class Undelivered(Exception):
    """An entry that the receiver has not taken, as far as the sink knows.

    - `retry_after`: seconds, at least 0, that the receiver asks to wait; None when it does not ask.
    - `is_refusal`: the receiver answered and rejected this entry; False when it was unreachable,
      too slow or failing.
    - `is_attempted`: False when the entry was not sent at all; that does not count as an attempt.
    - `is_final`: no repetition can succeed while the receiver is set up as it is; the entry goes to
      the dead letters at once, whatever the sink's `max_attempts`.

    The message contains neither secrets nor payloads.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        is_refusal: bool = False,
        is_attempted: bool = True,
        is_final: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_refusal = is_refusal
        self.is_attempted = is_attempted
        self.is_final = is_final


class Sink(Protocol):
    """A receiver outside of runstore. One task delivers to it at a time."""

    @property
    def name(self) -> str:
        """The name in its settings, unique in a deployment."""

    @property
    def max_attempts(self) -> int | None:
        """Attempts after which an entry goes to the dead letters; None means no limit."""

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        """Return one outcome for each entry, in order: None once the receiver durably has it.

        Entries are in feed order. Those of one run are delivered one after the other: after the
        first undelivered one, the later ones of its run are not attempted. Entries of different
        runs are delivered side by side. An undelivered entry may have arrived all the same, so its
        repetition may be a duplicate. Failures of the receiver are outcomes and never raised, and
        each attempt is bounded in time.
        """

    async def close(self) -> None:
        """Close connections. Deliveries in flight end undelivered."""
