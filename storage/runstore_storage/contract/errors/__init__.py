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
├── RunOpen                the run has not ended, so nothing of it is removed
├── RunInUse               a fork's history begins with the run
├── RunIdReserved          a run of this id was deleted
├── EventsArchived         events are read from the archive, if at all
├── ArchiveNotFound        the run's events are in no archive
├── ArchiveInvalid         an archive is not what was written
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
├── PolicyNotFound         no such policy of the project
├── ErasureNotFound        no such erasure of the project
├── Overloaded             too many writes are waiting
└── StorageUnavailable     Postgres or the object store did not answer, or refuses a right

`details` are safe to show a client: names and numbers that the caller gave or may read.
"""

from __future__ import annotations

from runstore_storage.contract.errors.admin import (
    HoldNotFound,
    PolicyNotFound,
    TokenNotFound,
)
from runstore_storage.contract.errors.archives import (
    ArchiveInvalid,
    ArchiveNotFound,
    EventsArchived,
)
from runstore_storage.contract.errors.artifacts import (
    ArtifactIsLink,
    ArtifactNotFound,
    ContentMismatch,
    RangeBeyondEnd,
)
from runstore_storage.contract.errors.base import (
    Overloaded,
    StorageError,
    StorageUnavailable,
)
from runstore_storage.contract.errors.configs import (
    ConfigLabelNotFound,
    ConfigNotFound,
    ConfigVersionNotFound,
    LabelConflict,
)
from runstore_storage.contract.errors.feed import (
    ConsumerNotFound,
    PositionAhead,
    SearchBehind,
    StatisticsBehind,
)
from runstore_storage.contract.errors.removals import (
    ErasureNotFound,
    RunHeld,
    RunIdReserved,
    RunInUse,
    RunOpen,
    SnapshotInUse,
)
from runstore_storage.contract.errors.runs import (
    IdempotencyMismatch,
    OutcomeConflict,
    OutcomeRequired,
    OutputNotFound,
    RunCompleted,
    RunNotFound,
    SeqAhead,
    SeqConflict,
    SnapshotAhead,
    SnapshotNotFound,
    UnknownRef,
    WriterEpochUnknown,
    WriterFenced,
)

__all__ = [
    "ArchiveInvalid",
    "ArchiveNotFound",
    "ArtifactIsLink",
    "ArtifactNotFound",
    "ConfigLabelNotFound",
    "ConfigNotFound",
    "ConfigVersionNotFound",
    "ConsumerNotFound",
    "ContentMismatch",
    "ErasureNotFound",
    "EventsArchived",
    "HoldNotFound",
    "IdempotencyMismatch",
    "LabelConflict",
    "OutcomeConflict",
    "OutcomeRequired",
    "OutputNotFound",
    "Overloaded",
    "PolicyNotFound",
    "PositionAhead",
    "RangeBeyondEnd",
    "RunCompleted",
    "RunHeld",
    "RunIdReserved",
    "RunInUse",
    "RunNotFound",
    "RunOpen",
    "SearchBehind",
    "SeqAhead",
    "SeqConflict",
    "SnapshotAhead",
    "SnapshotInUse",
    "SnapshotNotFound",
    "StatisticsBehind",
    "StorageError",
    "StorageUnavailable",
    "TokenNotFound",
    "UnknownRef",
    "WriterEpochUnknown",
    "WriterFenced",
]
