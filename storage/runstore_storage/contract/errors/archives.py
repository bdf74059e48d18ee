"""What is refused because events are in an archive, or are not."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError


class EventsArchived(StorageError):
    """Events of a run were archived: those from `first_seq` on are here. `snapshot_seq` is that of
    the run's latest snapshot, 0 if it has none.

    From `first_position` on the project's feed has no archived entry; 0 if it was not the feed that
    was read.
    """

    def __init__(
        self, run_id: str, first_seq: int, snapshot_seq: int, first_position: int = 0
    ) -> None:
        super().__init__(
            f"run {run_id!r} has events before {first_seq} in the archive only",
            run_id=run_id,
            first_seq=first_seq,
            snapshot_seq=snapshot_seq,
            first_position=first_position,
        )


class ArchiveNotFound(StorageError):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"no events of run {run_id!r} are in an archive", run_id=run_id)


class ArchiveInvalid(StorageError):
    def __init__(self, run_id: str, file: str, problem: str) -> None:
        super().__init__(
            f"the archive of run {run_id!r} cannot be read: {file} {problem}",
            run_id=run_id,
            file=file,
            problem=problem,
        )
