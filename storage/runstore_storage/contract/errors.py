"""What the store refuses, and why.

StorageError
├── RunNotFound            no such run in the project
├── SnapshotNotFound       no such snapshot of the run
├── OutputNotFound         no such output revision
├── IdempotencyMismatch    a known id with different content
├── SeqConflict            expected_seq is not the last seq
├── WriterFenced           a later resume claimed the run
├── WriterEpochUnknown     an epoch the run never issued
├── RunCompleted           a completed run takes no more writes
├── OutcomeConflict        completed with another outcome before
├── OutcomeRequired        completed without an outcome
├── SnapshotAhead          a snapshot beyond the last event
├── UnknownRef             a part that the run never stored
├── SnapshotInUse          a fork has the snapshot in its history
├── RunHeld                a hold holds the run: nothing of it is removed
├── SeqAhead               a seq beyond the last event
├── ConsumerNotFound       no such consumer of the feed
├── PositionAhead          a position beyond the feed's last
├── ConfigNotFound         no such config in the project
├── ConfigVersionNotFound  no such version of the config
├── ConfigLabelNotFound    no such label of the config
├── LabelConflict          the label is not at expected_version
├── ArtifactNotFound       no such artifact
├── ContentMismatch        the bytes differ from the announcement
├── RangeBeyondEnd         a range that exceeds the artifact
├── ArtifactIsLink         the artifact's bytes are elsewhere
├── SearchBehind           a feed point is not searchable yet
├── StatisticsBehind       a feed point is not counted yet
├── TokenNotFound          no such token of the project
├── HoldNotFound           no such hold of the project
├── Overloaded             too many writes are waiting
└── StorageUnavailable     Postgres or the object store did not answer, or refuses a right

`details` are safe to show a client: names and numbers that the caller gave or may read.
"""

from __future__ import annotations

from runstore_storage.contract.configs import ConfigKey
from runstore_storage.contract.heads import Outcome, RunKey


class StorageError(Exception):
    """A refusal that wrote nothing, with `details` for the client."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = {name: str(value) for name, value in details.items()}


class RunNotFound(StorageError):
    def __init__(self, key: RunKey) -> None:
        message = f"project {key.project!r} has no run {key.run_id!r}"
        super().__init__(message, project=key.project, run_id=key.run_id)


class SnapshotNotFound(StorageError):
    def __init__(self, run_id: str, snapshot: str) -> None:
        super().__init__(
            f"run {run_id!r} has no snapshot {snapshot}", run_id=run_id, snapshot=snapshot
        )


class OutputNotFound(StorageError):
    def __init__(self, run_id: str, revision: int) -> None:
        wanted = f"output revision {revision}" if revision else "output yet"
        super().__init__(f"run {run_id!r} has no {wanted}", run_id=run_id, revision=revision)


class IdempotencyMismatch(StorageError):
    def __init__(self, what: str, id: str) -> None:  # noqa: A002 - the metadata key is `id`
        super().__init__(f"{what} {id!r} was used before with different content", id=id)


class SeqConflict(StorageError):
    def __init__(self, run_id: str, expected_seq: int, current_seq: int) -> None:
        super().__init__(
            f"run {run_id!r} is at seq {current_seq}, not {expected_seq}",
            run_id=run_id,
            expected_seq=expected_seq,
            current_seq=current_seq,
        )


class WriterFenced(StorageError):
    def __init__(self, run_id: str, writer_epoch: int, current_epoch: int) -> None:
        super().__init__(
            f"run {run_id!r} was claimed by epoch {current_epoch}; epoch {writer_epoch} is fenced",
            run_id=run_id,
            writer_epoch=writer_epoch,
            current_epoch=current_epoch,
        )


class WriterEpochUnknown(StorageError):
    def __init__(self, run_id: str, writer_epoch: int, current_epoch: int) -> None:
        super().__init__(
            f"run {run_id!r} is at epoch {current_epoch} and never issued epoch {writer_epoch}",
            run_id=run_id,
            writer_epoch=writer_epoch,
            current_epoch=current_epoch,
        )


class RunCompleted(StorageError):
    def __init__(self, run_id: str, last_seq: int) -> None:
        super().__init__(
            f"run {run_id!r} was completed at seq {last_seq}", run_id=run_id, last_seq=last_seq
        )


class OutcomeConflict(StorageError):
    def __init__(self, run_id: str, outcome: Outcome) -> None:
        super().__init__(
            f"run {run_id!r} was completed as {outcome.name}", run_id=run_id, outcome=outcome.name
        )


class OutcomeRequired(StorageError):
    def __init__(self, run_id: str) -> None:
        needs = "must be completed with an outcome: no external engine owns its status"
        super().__init__(f"run {run_id!r} {needs}", run_id=run_id)


class SnapshotAhead(StorageError):
    def __init__(self, run_id: str, seq: int, last_seq: int) -> None:
        super().__init__(
            f"snapshot at seq {seq} is ahead of run {run_id!r}, which is at {last_seq}",
            run_id=run_id,
            seq=seq,
            last_seq=last_seq,
        )


class UnknownRef(StorageError):
    def __init__(self, run_id: str, sha256: bytes) -> None:
        super().__init__(
            f"run {run_id!r} never stored content {sha256.hex()}", run_id=run_id, ref=sha256.hex()
        )


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


class SeqAhead(StorageError):
    def __init__(self, run_id: str, seq: int, last_seq: int) -> None:
        super().__init__(
            f"seq {seq} is ahead of run {run_id!r}, which is at {last_seq}",
            run_id=run_id,
            seq=seq,
            last_seq=last_seq,
        )


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


class ConfigNotFound(StorageError):
    def __init__(self, key: ConfigKey) -> None:
        super().__init__(
            f"project {key.project!r} has no {key.kind} {key.name!r}",
            project=key.project,
            kind=key.kind,
            name=key.name,
        )


class ConfigVersionNotFound(StorageError):
    def __init__(self, key: ConfigKey, version: str) -> None:
        super().__init__(
            f"{key.kind} {key.name!r} has no version {version}",
            kind=key.kind,
            name=key.name,
            version=version,
        )


class ConfigLabelNotFound(StorageError):
    def __init__(self, key: ConfigKey, label: str) -> None:
        super().__init__(
            f"{key.kind} {key.name!r} has no label {label!r}",
            kind=key.kind,
            name=key.name,
            label=label,
        )


class LabelConflict(StorageError):
    def __init__(
        self, key: ConfigKey, label: str, expected_version: int, current_version: int
    ) -> None:
        super().__init__(
            f"label {label!r} of {key.kind} {key.name!r} is at version {current_version},"
            f" not {expected_version}",
            kind=key.kind,
            name=key.name,
            label=label,
            expected_version=expected_version,
            current_version=current_version,
        )


class ArtifactNotFound(StorageError):
    def __init__(self, project: str, artifact: str) -> None:
        super().__init__(
            f"project {project!r} has no artifact {artifact}", project=project, artifact=artifact
        )


class ContentMismatch(StorageError):
    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(
            f"the {what} of the bytes is {actual}, not {expected}",
            what=what,
            expected=expected,
            actual=actual,
        )


class RangeBeyondEnd(StorageError):
    def __init__(self, artifact_id: str, offset: int, length: int, size: int) -> None:
        super().__init__(
            f"artifact {artifact_id!r} has {size} bytes; {length} from {offset} on exceed it",
            artifact_id=artifact_id,
            offset=offset,
            length=length,
            size=size,
        )


class ArtifactIsLink(StorageError):
    def __init__(self, artifact_id: str, url: str) -> None:
        message = f"artifact {artifact_id!r} is a link: its bytes are at {url}"
        super().__init__(message, artifact_id=artifact_id, url=url)


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


class TokenNotFound(StorageError):
    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no token {token_id!r}", token_id=token_id)


class HoldNotFound(StorageError):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"there is no hold {hold_id!r}", hold_id=hold_id)


class Overloaded(StorageError):
    def __init__(
        self, retry_after: float, why: str = "too many writes are waiting on this server"
    ) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class StorageUnavailable(StorageError):
    retry_after = 0.2

    def __init__(self, what: str = "the database", answer: str = "did not answer") -> None:
        super().__init__(f"{what} {answer}; it is unknown whether the write was stored")
