"""The exceptions that calls raise.

RunstoreError
├── Unavailable              the server cannot be reached, or the path to it broke; the client
│   │                        has retried
│   ├── StorageUnavailable   the server's database or object store does not respond
│   └── ServerDraining       the server is shutting down
├── ClientClosed             the client was closed
├── DeadlineExceeded         the call took longer than its timeout
├── Unauthenticated          the server takes no credential, or another one
│   └── CredentialExpired    the credential was valid, and has expired
├── PermissionDenied         no grant allows the call: see `project`, `role`
├── InvalidRequest           a field breaks its rule: see `violations`
├── MalformedMessage         the bytes sent do not decode to the message
├── MessageTooLarge          the request is larger than the server, or a proxy, accepts
├── RunNotFound
├── SnapshotNotFound
├── OutputNotFound
├── IdempotencyMismatch      a known id was sent again with other content
├── SeqConflict              another writer was faster: see `current_seq`
├── WriterFenced             a later resume claimed the run: stop writing
├── WriterEpochUnknown       the run never issued this epoch
├── RunCompleted
├── OutcomeConflict
├── OutcomeRequired
├── SnapshotAhead
├── UnknownRef               the part is not stored: send it in full
├── SnapshotInUse            a fork has it in its history: see `fork_run_id`
├── RunHeld                  a hold holds the run: see `hold_id`
├── RunOpen                  complete the run first
├── RunInUse                 a fork's history begins with it: see `fork_run_id`
├── RunIdReserved            a run of this id was deleted: choose another
├── EventsArchived           read the archive, or from `first_seq` on
├── ArchiveNotFound          the run is not archived
├── ArchiveInvalid           an archive was changed: see `file` and `problem`
├── SeqAhead                 the run has not reached this seq
├── ConsumerNotFound         the consumer has not committed yet
├── PositionAhead            the feed has not reached this position
├── ConfigNotFound
├── ConfigVersionNotFound
├── ConfigLabelNotFound
├── LabelConflict            the label was moved meanwhile: see `current_version`
├── ArtifactNotFound
├── ContentMismatch          the bytes changed while they were uploaded
├── RangeBeyondEnd           the artifact does not have these bytes
├── ArtifactIsLink           the bytes are kept elsewhere: see `url`
├── SearchBehind             the awaited events are not searchable yet
├── StatisticsBehind         the awaited events are not counted yet
├── TokenNotFound
├── HoldNotFound
├── PolicyNotFound
├── ErasureNotFound
├── TokenSecretLost          the token was made, its secret did not arrive: revoke `token_id`
├── Overloaded               the client has retried
├── QuotaExceeded            a limit is used up, see `limit`; the client has retried
├── Internal                 a defect of the service
└── ProtocolError            the server broke its own contract

The class follows from `ErrorInfo.reason`, never from the message.
"""

from __future__ import annotations

import copyreg
import re
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from runstore.failures import Failure, broken, failure_of_call, failure_of_status


class RunstoreError(Exception):
    """A failed call; errors.proto defines `reason` and `metadata`."""

    token_was_replaced = False
    """Whether the call was refused with a token that the client no longer has; it is repeated."""

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

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt by calling their class with `args`, which hold only the message.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # typeshed leaves it out

    def _number(self, name: str) -> int:
        return int(self.metadata.get(name, 0))


class Unavailable(RunstoreError):
    """The server cannot be reached, or the path to it broke; the client has retried."""


class StorageUnavailable(Unavailable):
    """The server's database or object store does not respond; the client has retried."""


class ServerDraining(Unavailable):
    """The server is shutting down; the client has retried."""


class ClientClosed(RunstoreError):
    """The client was closed before the call, or during it."""


class DeadlineExceeded(RunstoreError):
    """The call took longer than its timeout; a write may have been stored nevertheless."""


class Unauthenticated(RunstoreError):
    """The call has no credential, or one that the server does not know or no longer takes."""


class CredentialExpired(Unauthenticated):
    """The credential was valid, and has expired: get a new one."""


class PermissionDenied(RunstoreError):
    """No grant of the caller allows this call, whether or not there is such a project."""

    @property
    def project(self) -> str:
        """The project that the call is about; empty if it is about the server."""
        return self.metadata.get("project", "")

    @property
    def role(self) -> str:
        """The least role that the call needs."""
        return self.metadata.get("role", "")


class InvalidRequest(RunstoreError):
    """A field breaks its rule: see `violations`."""


class MalformedMessage(RunstoreError):
    """The bytes sent do not decode to the message."""


class MessageTooLarge(RunstoreError):
    """The request is larger than the server accepts, or than a proxy before it does."""


class RunNotFound(RunstoreError):
    """The project has no such run."""


class SnapshotNotFound(RunstoreError):
    """The run has no such snapshot."""


class OutputNotFound(RunstoreError):
    """The run has no output yet, or not this revision of it."""


class IdempotencyMismatch(RunstoreError):
    """An id that is known was sent again with other content."""


class SeqConflict(RunstoreError):
    """Another writer was faster: read up to `current_seq`, decide again, retry."""

    @property
    def expected_seq(self) -> int:
        """The seq that the writer expected to be the run's last."""
        return self._number("expected_seq")

    @property
    def current_seq(self) -> int:
        """The run's last seq: read the events up to it, decide again, retry."""
        return self._number("current_seq")


class WriterFenced(RunstoreError):
    """A later resume claimed the run: stop writing."""

    @property
    def current_epoch(self) -> int:
        """The epoch that owns the run now."""
        return self._number("current_epoch")


class WriterEpochUnknown(RunstoreError):
    """The run never issued this writer epoch."""


class RunCompleted(RunstoreError):
    """The run has ended and takes no more writes of this kind."""


class OutcomeConflict(RunstoreError):
    """The run has ended with another outcome."""


class OutcomeRequired(RunstoreError):
    """The run's end needs an outcome."""


class SnapshotAhead(RunstoreError):
    """The snapshot's seq is beyond the run's last."""


class UnknownRef(RunstoreError):
    """The run has not stored the part that a `Ref` stands for: send it in full."""


class SnapshotInUse(RunstoreError):
    """A fork has the snapshot in its history."""

    @property
    def fork_run_id(self) -> str:
        """A fork that has the snapshot in its history."""
        return self.metadata.get("fork_run_id", "")


class EventsArchived(RunstoreError):
    """Events that were asked for are in the archive: read it, or go on after them."""

    @property
    def first_seq(self) -> int:
        """The run's first event that is not archived."""
        return int(self.metadata.get("first_seq", "0"))

    @property
    def snapshot_seq(self) -> int:
        """The seq of the run's latest snapshot; 0 if it has none."""
        return int(self.metadata.get("snapshot_seq", "0"))

    @property
    def first_position(self) -> int:
        """The position of the feed from which on nothing is archived; 0 if a run was read."""
        return int(self.metadata.get("first_position", "0"))


class ArchiveNotFound(RunstoreError):
    """The run is not archived, or has no events that could be."""


class ArchiveInvalid(RunstoreError):
    """An archive is not what was written: something else changed it."""

    @property
    def file(self) -> str:
        """The file that is not."""
        return self.metadata.get("file", "")

    @property
    def problem(self) -> str:
        """What is wrong with it, for people."""
        return self.metadata.get("problem", "")


class SeqAhead(RunstoreError):
    """The run has not reached this seq."""


class ConsumerNotFound(RunstoreError):
    """The consumer has not committed a position yet."""


class PositionAhead(RunstoreError):
    """The feed has not reached this position."""


class ConfigNotFound(RunstoreError):
    """The project has no config of this kind and name."""


class ConfigVersionNotFound(RunstoreError):
    """The config has no such version."""


class ConfigLabelNotFound(RunstoreError):
    """The config has no such label."""


class LabelConflict(RunstoreError):
    """The label was moved meanwhile."""

    @property
    def current_version(self) -> int:
        """The version the label points to; 0 if there is no such label."""
        return self._number("current_version")


class ArtifactNotFound(RunstoreError):
    """The project has no such artifact."""


class ContentMismatch(RunstoreError):
    """The bytes changed while they were uploaded."""


class RangeBeyondEnd(RunstoreError):
    """The artifact does not have these bytes."""


class ArtifactIsLink(RunstoreError):
    """The artifact's bytes are kept elsewhere."""

    @property
    def url(self) -> str:
        """Where the bytes are kept."""
        return self.metadata.get("url", "")


class SearchBehind(RunstoreError):
    """The awaited events are not searchable yet."""

    @property
    def indexed_position(self) -> int:
        """The position up to which the feed is searchable."""
        return self._number("indexed_position")


class StatisticsBehind(RunstoreError):
    """The awaited events are not counted yet."""

    @property
    def counted_position(self) -> int:
        """The position up to which the feed is counted."""
        return self._number("counted_position")


class TokenNotFound(RunstoreError):
    """The project, or the server, has no such token."""


class RunHeld(RunstoreError):
    """A hold holds the run, so nothing of it may be removed."""

    @property
    def hold_id(self) -> str:
        """One of the holds."""
        return self.metadata.get("hold_id", "")


class RunOpen(RunstoreError):
    """The run has not ended, and only what has ended is removed."""


class RunInUse(RunstoreError):
    """A fork's history begins with the run, so it may not be removed."""

    @property
    def fork_run_id(self) -> str:
        """One of the forks."""
        return self.metadata.get("fork_run_id", "")


class RunIdReserved(RunstoreError):
    """A run of this id was deleted, and no other run ever gets its id."""


class PolicyNotFound(RunstoreError):
    """The project has no such policy."""


class HoldNotFound(RunstoreError):
    """The project has no such hold."""


class ErasureNotFound(RunstoreError):
    """The project has no such erasure."""


class TokenSecretLost(RunstoreError):
    """A token was made, but the only answer with its secret did not arrive: revoke the token."""

    def __init__(self, token_id: str) -> None:
        words = f"token {token_id} was made, but its secret did not arrive: revoke the token"
        super().__init__(Failure(grpc.StatusCode.DATA_LOSS, words, metadata={"token_id": token_id}))

    @property
    def token_id(self) -> str:
        """The token to revoke."""
        return self.metadata["token_id"]


class Overloaded(RunstoreError):
    """The server has too much to do; the client has retried."""


class QuotaExceeded(RunstoreError):
    """The project has used up one of its limits; the client has retried."""

    @property
    def limit(self) -> str:
        """Which limit is used up."""
        return self.metadata.get("limit", "")


class Internal(RunstoreError):
    """A defect of the service; `request_id` finds it in the server's log."""


class ProtocolError(RunstoreError):
    """The server broke its own contract."""

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
    "EVENTS_ARCHIVED": EventsArchived,
    "ARCHIVE_NOT_FOUND": ArchiveNotFound,
    "ARCHIVE_INVALID": ArchiveInvalid,
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
    "UNAUTHENTICATED": Unauthenticated,
    "CREDENTIAL_EXPIRED": CredentialExpired,
    "PERMISSION_DENIED": PermissionDenied,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "TOKEN_NOT_FOUND": TokenNotFound,
    "RUN_HELD": RunHeld,
    "RUN_OPEN": RunOpen,
    "RUN_IN_USE": RunInUse,
    "RUN_ID_RESERVED": RunIdReserved,
    "HOLD_NOT_FOUND": HoldNotFound,
    "POLICY_NOT_FOUND": PolicyNotFound,
    "ERASURE_NOT_FOUND": ErasureNotFound,
    "OVERLOADED": Overloaded,
    "STORAGE_UNAVAILABLE": StorageUnavailable,
    "SERVER_DRAINING": ServerDraining,
    "INTERNAL": Internal,
}
# Failures that a later attempt may not meet.
MAY_PASS = (Unavailable, Overloaded, QuotaExceeded)

_BY_CODE: dict[grpc.StatusCode, type[RunstoreError]] = {
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
# What a call ends with where the path to the server breaks. The server gives a reason with every
# status; these come without one, from gRPC and from proxies: CANCELLED from a server that stops as
# the call reaches it, INTERNAL for a reset stream or an interrupted send, UNKNOWN for a response
# that is not gRPC's, such as a proxy's error page.
_BROKEN_PATH = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
# Our streams have no deadline, so one that passed was a proxy's.
_BROKEN_STREAM = _BROKEN_PATH | {grpc.StatusCode.DEADLINE_EXCEEDED}


# What gRPC says of HTTP 413, the only sign of a proxy that limits the body of a request.
_BODY_TOO_LARGE = re.compile(r"Received http2 header with status: 413\b")
# What gRPC says of a message that is far beyond the server's limit, before the server sees it.
_MESSAGE_TOO_LARGE = "SERVER: Received message larger than max"
_PROXY_LIMIT = (
    "the request is larger than a proxy lets pass (HTTP 413): raise the proxy's limit of a request"
    " body, such as client_max_body_size of nginx"
)


def from_rpc(error: grpc.RpcError) -> RunstoreError:
    """The exception of a failed call, sync or async."""
    failure = failure_of_call(error)
    return _too_large(failure) or _error_or_broken(failure, _BROKEN_PATH)


def from_requests(error: grpc.RpcError) -> RunstoreError:
    """The exception of a failed stream of requests, which are one body to a proxy."""
    failure = failure_of_call(error)
    return _too_large(failure) or _error_or_broken(failure, _BROKEN_STREAM)


def from_stream(error: grpc.RpcError) -> RunstoreError:
    """The exception of a failed stream, which was opened without a deadline."""
    return _error_or_broken(failure_of_call(error), _BROKEN_STREAM)


def from_status(status: Status) -> RunstoreError:
    """The exception of a status that the server sent inside of a response."""
    return _error_of(failure_of_status(status))


def _too_large(failure: Failure) -> MessageTooLarge | None:
    """The error of a request that a proxy or gRPC refused for its size, as they will each time."""
    if failure.reason:
        return None
    if failure.message.startswith(_MESSAGE_TOO_LARGE):
        return MessageTooLarge(failure)
    if not _BODY_TOO_LARGE.search(failure.message):
        return None
    return MessageTooLarge(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, _PROXY_LIMIT))


def _error_or_broken(failure: Failure, broken_by: set[grpc.StatusCode]) -> RunstoreError:
    if not failure.reason and failure.code in broken_by:
        return Unavailable(failure)
    return _error_of(failure)


def _error_of(failure: Failure) -> RunstoreError:
    kind = BY_REASON.get(failure.reason) or _BY_CODE.get(failure.code, RunstoreError)
    return kind(failure)


def broken_stream(message: str) -> Unavailable:
    """The error of a stream that broke without a status from the server."""
    return Unavailable(broken(message))


def closed() -> ClientClosed:
    """The error of a call on a client that was closed."""
    return ClientClosed(Failure(grpc.StatusCode.CANCELLED, "the client was closed"))


def out_of_time() -> DeadlineExceeded:
    """The error of a call whose timeout passed while it waited to be sent."""
    return DeadlineExceeded(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))


def silence(seconds: float) -> Unavailable:
    """The error of a stream that delivered nothing, not even a heartbeat, for too long."""
    return broken_stream(f"the stream was silent for {seconds:g} seconds")
