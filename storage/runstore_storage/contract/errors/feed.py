"""What is refused of the feed, and of what follows it."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError


class ConsumerNotFound(StorageError):
    def __init__(self, project: str, consumer: str) -> None:
        super().__init__(
            f"the feed of project {project!r} has no consumer {consumer!r}",
            project=project,
            consumer=consumer,
        )


class PositionAhead(StorageError):
    def __init__(self, position: int, last_position: int) -> None:
        super().__init__(
            f"position {position} is ahead of the feed, which is at {last_position}",
            position=position,
            last_position=last_position,
        )


class SearchBehind(StorageError):
    def __init__(self, indexed_position: int, awaited_position: int) -> None:
        super().__init__(
            f"the feed is searchable only up to position {indexed_position}, not yet up to the"
            " event or position to wait for",
            indexed_position=indexed_position,
            awaited_position=awaited_position,
        )


class StatisticsBehind(StorageError):
    def __init__(self, counted_position: int, awaited_position: int) -> None:
        super().__init__(
            f"the feed is counted only up to position {counted_position}, not yet up to the event"
            " or position to wait for",
            counted_position=counted_position,
            awaited_position=awaited_position,
        )
