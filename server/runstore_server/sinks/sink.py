"""What a sink promises to whoever reads the feed for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runstore_storage.contract.feed import FeedEntry


class Undelivered(Exception):
    """An entry the receiver has not taken, as far as the sink knows.

    - `retry_after`: seconds, at least 0, that the receiver asks to wait; None when it asks nothing.
    - `is_refusal`: the receiver answered and did not want this entry; False when it was away, too
      slow or in trouble.
    - `is_attempted`: False when the entry was not tried at all. That is no try of its own and
      counts towards no bound.
    - `is_final`: no repetition of the same entry can succeed, as the receiver is set up; it goes to
      the dead letters at once, whatever the sink's `max_attempts`.

    The message names neither secrets nor payloads.
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
    """A receiver outside. One task delivers to it at a time."""

    @property
    def name(self) -> str:
        """The name it is configured under, unique in a deployment."""

    @property
    def max_attempts(self) -> int | None:
        """Tries after which an entry goes to the dead letters; None means to try for ever."""

    async def deliver(self, entries: Sequence[FeedEntry]) -> list[Undelivered | None]:
        """Return one outcome an entry, in order: None once the receiver has durably taken it.

        Entries come in feed order. Those of one run are delivered one after the other: after the
        first that is undelivered, the later ones of its run come back not attempted. Entries of
        different runs go side by side. An undelivered entry may have arrived all the same, so a
        repetition may arrive twice. Failures of the receiver are outcomes and never raised, and
        each try is bounded in time.
        """

    async def close(self) -> None:
        """Give back connections. What is under way ends undelivered."""
