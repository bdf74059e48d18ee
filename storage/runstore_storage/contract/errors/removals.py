"""What is refused because it keeps something from being removed, or was removed."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError
from runstore_storage.contract.heads import RunKey


class SnapshotInUse(StorageError):
    def __init__(self, run_id: str, namespace: str, snapshot_id: str, fork_run_id: str) -> None:
        super().__init__(
            f"snapshot {snapshot_id!r} of run {run_id!r} is in the history of its fork"
            f" {fork_run_id!r}",
            run_id=run_id,
            namespace=namespace,
            snapshot_id=snapshot_id,
            fork_run_id=fork_run_id,
        )


class RunHeld(StorageError):
    def __init__(self, run_id: str, hold_id: str) -> None:
        super().__init__(f"run {run_id!r} is held by {hold_id}", run_id=run_id, hold_id=hold_id)


class RunOpen(StorageError):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id!r} has not ended", run_id=run_id)


class RunInUse(StorageError):
    def __init__(self, run_id: str, fork_run_id: str) -> None:
        super().__init__(
            f"the history of {fork_run_id!r}, a fork, begins with run {run_id!r}",
            run_id=run_id,
            fork_run_id=fork_run_id,
        )


class RunIdReserved(StorageError):
    def __init__(self, key: RunKey) -> None:
        super().__init__(
            f"run {key.run_id!r} of project {key.project!r} was deleted; its id stays taken",
            project=key.project,
            run_id=key.run_id,
        )


class ErasureNotFound(StorageError):
    def __init__(self, erasure_id: str) -> None:
        super().__init__(f"there is no erasure {erasure_id!r}", erasure_id=erasure_id)
