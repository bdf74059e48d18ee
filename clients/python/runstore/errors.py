"""What a call raises.

RunstoreError
├── Unavailable              no server, or it went away; the client has retried
│   ├── StorageUnavailable   the server's database or object store does not answer
│   └── ServerDraining       the server is going down
├── DeadlineExceeded         the time for the call is over
├── InvalidRequest           a field breaks its rule: see `violations`
├── MalformedMessage         the bytes sent are not the message
├── MessageTooLarge          more than the server takes
├── RunNotFound
├── SnapshotNotFound
├── OutputNotFound
├── IdempotencyMismatch      a known id with other content
├── SeqConflict              another writer was faster: see `current_seq`
├── WriterFenced             a later resume claimed the run: stop writing
├── WriterEpochUnknown       an epoch the run never issued
├── RunCompleted
├── OutcomeConflict
├── OutcomeRequired
├── SnapshotAhead
├── UnknownRef               send the part in full
├── SnapshotInUse            a fork has it in its history: see `fork_run_id`
├── SeqAhead                 the run has not come to this seq
├── ConsumerNotFound         it has not committed yet
├── PositionAhead            a position the feed has not reached
├── ConfigNotFound
├── ConfigVersionNotFound
├── ConfigLabelNotFound
├── LabelConflict            somebody else moved it: see `current_version`
├── ArtifactNotFound
├── ContentMismatch          the bytes changed while they were uploaded
├── RangeBeyondEnd           bytes the artifact does not have
├── ArtifactIsLink           its bytes are elsewhere: see `url`
├── SearchBehind             what is awaited is not searchable yet
├── StatisticsBehind         what is awaited is not counted yet
├── Overloaded               the client has retried
├── Internal                 a defect of the service
└── ProtocolError            the server broke its own contract

The class follows from `ErrorInfo.reason`, never from the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "runstore.v1"
DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Failure:
    """Everything a status says."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] | None = None
    violations: tuple[tuple[str, str], ...] = ()
    request_id: str = ""
    retry_after: float | None = None


class RunstoreError(Exception):
    """A failed call: `reason` and `metadata` as errors.proto defines them."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.code = failure.code
        self.reason = failure.reason
        self.metadata = dict(failure.metadata or {})
        self.violations = failure.violations
        self.request_id = failure.request_id
        self.retry_after = failure.retry_after

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {super().__str__()}"

    def _number(self, name: str) -> int:
        return int(self.metadata.get(name, 0))


class Unavailable(RunstoreError):
    pass


class StorageUnavailable(Unavailable):
    pass


class ServerDraining(Unavailable):
    pass


class DeadlineExceeded(RunstoreError):
    pass


class InvalidRequest(RunstoreError):
    pass


class MalformedMessage(RunstoreError):
    pass


class MessageTooLarge(RunstoreError):
    pass


class RunNotFound(RunstoreError):
    pass


class SnapshotNotFound(RunstoreError):
    pass


class OutputNotFound(RunstoreError):
    pass


class IdempotencyMismatch(RunstoreError):
    pass


class SeqConflict(RunstoreError):
    @property
    def expected_seq(self) -> int:
        """What the writer took for the run's last seq."""
        return self._number("expected_seq")

    @property
    def current_seq(self) -> int:
        """The run's last seq: read on from here, decide again, retry."""
        return self._number("current_seq")


class WriterFenced(RunstoreError):
    @property
    def current_epoch(self) -> int:
        """The epoch that owns the run now."""
        return self._number("current_epoch")


class WriterEpochUnknown(RunstoreError):
    pass


class RunCompleted(RunstoreError):
    pass


class OutcomeConflict(RunstoreError):
    pass


class OutcomeRequired(RunstoreError):
    pass


class SnapshotAhead(RunstoreError):
    pass


class UnknownRef(RunstoreError):
    pass


class SnapshotInUse(RunstoreError):
    @property
    def fork_run_id(self) -> str:
        """A fork that has the snapshot in its history."""
        return self.metadata.get("fork_run_id", "")


class SeqAhead(RunstoreError):
    pass


class ConsumerNotFound(RunstoreError):
    pass


class PositionAhead(RunstoreError):
    pass


class ConfigNotFound(RunstoreError):
    pass


class ConfigVersionNotFound(RunstoreError):
    pass


class ConfigLabelNotFound(RunstoreError):
    pass


class LabelConflict(RunstoreError):
    @property
    def current_version(self) -> int:
        """The version the label points to; 0 when there is no such label."""
        return self._number("current_version")


class ArtifactNotFound(RunstoreError):
    pass


class ContentMismatch(RunstoreError):
    pass


class RangeBeyondEnd(RunstoreError):
    pass


class ArtifactIsLink(RunstoreError):
    @property
    def url(self) -> str:
        """Where the bytes are."""
        return self.metadata.get("url", "")


class SearchBehind(RunstoreError):
    @property
    def indexed_position(self) -> int:
        """The position up to which the feed is searchable."""
        return self._number("indexed_position")


class StatisticsBehind(RunstoreError):
    @property
    def counted_position(self) -> int:
        """The position up to which the feed is counted."""
        return self._number("counted_position")


class Overloaded(RunstoreError):
    pass


class Internal(RunstoreError):
    pass


class ProtocolError(RunstoreError):
    def __init__(self, message: str) -> None:
        super().__init__(Failure(grpc.StatusCode.INTERNAL, message))


BY_REASON: dict[str, type[RunstoreError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "MALFORMED_MESSAGE": MalformedMessage,
    "MESSAGE_TOO_LARGE": MessageTooLarge,
    "RUN_NOT_FOUND": RunNotFound,
    "SNAPSHOT_NOT_FOUND": SnapshotNotFound,
    "OUTPUT_NOT_FOUND": OutputNotFound,
    "IDEMPOTENCY_MISMATCH": IdempotencyMismatch,
    "SEQ_CONFLICT": SeqConflict,
    "WRITER_FENCED": WriterFenced,
    "WRITER_EPOCH_UNKNOWN": WriterEpochUnknown,
    "RUN_COMPLETED": RunCompleted,
    "OUTCOME_CONFLICT": OutcomeConflict,
    "OUTCOME_REQUIRED": OutcomeRequired,
    "SNAPSHOT_AHEAD": SnapshotAhead,
    "UNKNOWN_REF": UnknownRef,
    "SNAPSHOT_IN_USE": SnapshotInUse,
    "SEQ_AHEAD": SeqAhead,
    "CONSUMER_NOT_FOUND": ConsumerNotFound,
    "POSITION_AHEAD": PositionAhead,
    "CONFIG_NOT_FOUND": ConfigNotFound,
    "CONFIG_VERSION_NOT_FOUND": ConfigVersionNotFound,
    "CONFIG_LABEL_NOT_FOUND": ConfigLabelNotFound,
    "LABEL_CONFLICT": LabelConflict,
    "ARTIFACT_NOT_FOUND": ArtifactNotFound,
    "CONTENT_MISMATCH": ContentMismatch,
    "RANGE_BEYOND_END": RangeBeyondEnd,
    "ARTIFACT_IS_LINK": ArtifactIsLink,
    "SEARCH_BEHIND": SearchBehind,
    "STATISTICS_BEHIND": StatisticsBehind,
    "OVERLOADED": Overloaded,
    "STORAGE_UNAVAILABLE": StorageUnavailable,
    "SERVER_DRAINING": ServerDraining,
    "INTERNAL": Internal,
}
# gRPC answers a call that reaches a server just as it stops with a bare CANCELLED, and no handler
# of ours sees it: the server went away.
_BY_CODE: dict[grpc.StatusCode, type[RunstoreError]] = {
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def from_rpc(error: grpc.RpcError) -> RunstoreError:
    """The exception of a failed gRPC call, sync or async."""
    trailing: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]  # of either kind of call
    for name, value in trailing:
        if name == DETAILS_KEY:
            with suppress(DecodeError):  # not ours; the code still says what happened
                return from_status(status_pb2.Status.FromString(value))
    code = error.code()
    return _BY_CODE.get(code, RunstoreError)(Failure(code, error.details() or code.name))


def from_status(status: status_pb2.Status) -> RunstoreError:
    """The exception of a status with details."""
    info, request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RequestInfo(),
        error_details_pb2.RetryInfo(),
    )
    bad = error_details_pb2.BadRequest()
    for packed in status.details:
        for message in (info, request, retry, bad):
            if packed.Is(message.DESCRIPTOR):
                packed.Unpack(message)
    delay = retry.retry_delay
    reason = info.reason if info.domain == DOMAIN else ""
    failure = Failure(
        code=_CODES.get(status.code, grpc.StatusCode.UNKNOWN),
        message=status.message,
        reason=reason,
        metadata=dict(info.metadata),
        violations=tuple((each.field, each.description) for each in bad.field_violations),
        request_id=request.request_id,
        retry_after=delay.seconds + delay.nanos / 1e9 if retry.HasField("retry_delay") else None,
    )
    kind = BY_REASON.get(reason) or _BY_CODE.get(failure.code, RunstoreError)
    return kind(failure)


def silence(seconds: float) -> Unavailable:
    """A stream that brought not even a heartbeat for too long."""
    return broken_stream(f"the stream was silent for {seconds:g} seconds")


def broken_stream(message: str) -> Unavailable:
    """A stream that broke without a status of the server's."""
    return Unavailable(Failure(grpc.StatusCode.UNAVAILABLE, message))
