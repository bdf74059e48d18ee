"""The table from errors to gRPC statuses.

Clients branch on `ErrorInfo.reason`. An exception that is not in the table is a defect: it is
logged with the request's id and answered with a bare INTERNAL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from runstore_storage.contract import errors as storage
from runstore_storage.contract.access import Role

from runstore_server.convert.times import duration

DOMAIN = "runstore.v1"
# A status travels in headers, of which gRPC clients accept 8 KiB by default: a call whose status is
# larger fails without its reason. Messages are percent-encoded there and details may be base64, so
# these bounds are well below that.
MAX_MESSAGE_BYTES = 512
MAX_VIOLATION_BYTES = 3000


class RequestError(Exception):
    """A request that the server refuses before the store sees it."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = {name: str(value) for name, value in details.items()}


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule, by its path in the request."""

    field: str
    description: str


class InvalidRequest(RequestError):
    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}")
        self.violations = tuple(violations)


class MalformedMessage(RequestError):
    def __init__(self) -> None:
        super().__init__("the request could not be decoded as the message of this RPC")


class MessageTooLarge(RequestError):
    def __init__(self, limit_bytes: int, size_bytes: int) -> None:
        super().__init__(
            f"the request has {size_bytes} bytes; this server accepts at most {limit_bytes}",
            limit_bytes=limit_bytes,
            size_bytes=size_bytes,
        )


class ServerDraining(RequestError):
    def __init__(self) -> None:
        super().__init__("the server is shutting down; reconnect")


class Unauthenticated(RequestError):
    """`why` is safe to show: it says nothing of what is known."""

    def __init__(self, why: str = "the call has no credential") -> None:
        super().__init__(f"{why}; send `authorization: Bearer <token>`")


class CredentialExpired(RequestError):
    def __init__(self) -> None:
        super().__init__("the credential has expired; get a new one")


class PermissionDenied(RequestError):
    """Says the same whether or not there is such a project; `why` is said instead, if given."""

    def __init__(self, project: str, role: Role, why: str = "") -> None:
        name = role.name.lower()
        where = f"in project {project!r}" if project else "for the server"
        super().__init__(why or f"the caller is no {name} {where}", project=project, role=name)


class QuotaExceeded(RequestError):
    """`limit` names what was used up; a retry makes sense after `retry_after` seconds."""

    def __init__(self, limit: str, retry_after: float) -> None:
        super().__init__(f"the limit of {limit} is used up; retry later", limit=limit)
        self.retry_after = retry_after


class Internal(RequestError):
    def __init__(self, request_id: str) -> None:
        super().__init__("internal error; the server logged it with this request id")
        self.details = {"request_id": request_id}


STATUS: dict[type[Exception], tuple[StatusCode, str]] = {
    InvalidRequest: (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    MalformedMessage: (StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE"),
    MessageTooLarge: (StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
    storage.RunNotFound: (StatusCode.NOT_FOUND, "RUN_NOT_FOUND"),
    storage.SnapshotNotFound: (StatusCode.NOT_FOUND, "SNAPSHOT_NOT_FOUND"),
    storage.OutputNotFound: (StatusCode.NOT_FOUND, "OUTPUT_NOT_FOUND"),
    storage.IdempotencyMismatch: (StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_MISMATCH"),
    storage.SeqConflict: (StatusCode.ABORTED, "SEQ_CONFLICT"),
    storage.WriterFenced: (StatusCode.FAILED_PRECONDITION, "WRITER_FENCED"),
    storage.WriterEpochUnknown: (StatusCode.FAILED_PRECONDITION, "WRITER_EPOCH_UNKNOWN"),
    storage.RunCompleted: (StatusCode.FAILED_PRECONDITION, "RUN_COMPLETED"),
    storage.OutcomeConflict: (StatusCode.FAILED_PRECONDITION, "OUTCOME_CONFLICT"),
    storage.OutcomeRequired: (StatusCode.INVALID_ARGUMENT, "OUTCOME_REQUIRED"),
    storage.SnapshotAhead: (StatusCode.OUT_OF_RANGE, "SNAPSHOT_AHEAD"),
    storage.UnknownRef: (StatusCode.FAILED_PRECONDITION, "UNKNOWN_REF"),
    storage.SnapshotInUse: (StatusCode.FAILED_PRECONDITION, "SNAPSHOT_IN_USE"),
    storage.EventsArchived: (StatusCode.OUT_OF_RANGE, "EVENTS_ARCHIVED"),
    storage.ArchiveNotFound: (StatusCode.NOT_FOUND, "ARCHIVE_NOT_FOUND"),
    storage.ArchiveInvalid: (StatusCode.INVALID_ARGUMENT, "ARCHIVE_INVALID"),
    storage.SeqAhead: (StatusCode.OUT_OF_RANGE, "SEQ_AHEAD"),
    storage.ConsumerNotFound: (StatusCode.NOT_FOUND, "CONSUMER_NOT_FOUND"),
    storage.PositionAhead: (StatusCode.OUT_OF_RANGE, "POSITION_AHEAD"),
    storage.ConfigNotFound: (StatusCode.NOT_FOUND, "CONFIG_NOT_FOUND"),
    storage.ConfigVersionNotFound: (StatusCode.NOT_FOUND, "CONFIG_VERSION_NOT_FOUND"),
    storage.ConfigLabelNotFound: (StatusCode.NOT_FOUND, "CONFIG_LABEL_NOT_FOUND"),
    storage.LabelConflict: (StatusCode.ABORTED, "LABEL_CONFLICT"),
    storage.ArtifactNotFound: (StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND"),
    storage.ContentMismatch: (StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"),
    storage.RangeBeyondEnd: (StatusCode.OUT_OF_RANGE, "RANGE_BEYOND_END"),
    storage.ArtifactIsLink: (StatusCode.FAILED_PRECONDITION, "ARTIFACT_IS_LINK"),
    storage.SearchBehind: (StatusCode.DEADLINE_EXCEEDED, "SEARCH_BEHIND"),
    storage.StatisticsBehind: (StatusCode.DEADLINE_EXCEEDED, "STATISTICS_BEHIND"),
    storage.TokenNotFound: (StatusCode.NOT_FOUND, "TOKEN_NOT_FOUND"),
    storage.RunHeld: (StatusCode.FAILED_PRECONDITION, "RUN_HELD"),
    storage.RunOpen: (StatusCode.FAILED_PRECONDITION, "RUN_OPEN"),
    storage.RunInUse: (StatusCode.FAILED_PRECONDITION, "RUN_IN_USE"),
    storage.RunIdReserved: (StatusCode.ALREADY_EXISTS, "RUN_ID_RESERVED"),
    storage.HoldNotFound: (StatusCode.NOT_FOUND, "HOLD_NOT_FOUND"),
    storage.PolicyNotFound: (StatusCode.NOT_FOUND, "POLICY_NOT_FOUND"),
    storage.ErasureNotFound: (StatusCode.NOT_FOUND, "ERASURE_NOT_FOUND"),
    storage.Overloaded: (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    storage.StorageUnavailable: (StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE"),
    Unauthenticated: (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    CredentialExpired: (StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED"),
    PermissionDenied: (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    QuotaExceeded: (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"),
    ServerDraining: (StatusCode.UNAVAILABLE, "SERVER_DRAINING"),
    Internal: (StatusCode.INTERNAL, "INTERNAL"),
}


def is_known(error: BaseException) -> bool:
    """True for an error that clients may see."""
    return type(error) in STATUS


def code_of(error: Exception) -> StatusCode:
    """The gRPC code of a known error."""
    return STATUS[type(error)][0]


def reason_of(error: Exception) -> str:
    """The reason by which clients know a known error."""
    return STATUS[type(error)][1]


def retry_after(error: Exception) -> float | None:
    """After how many seconds a retry makes sense; None where nothing says so."""
    if isinstance(error, storage.Overloaded | storage.StorageUnavailable | QuotaExceeded):
        return error.retry_after
    return None


def status_of(error: Exception, request_id: str) -> status_pb2.Status:
    """The status of a known error, with its details."""
    code, reason = STATUS[type(error)]
    metadata: dict[str, str] = getattr(error, "details", {})
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if isinstance(error, InvalidRequest):
        details.append(_bad_request(error))
    if (seconds := retry_after(error)) is not None:
        delay = duration(round(seconds * 1e6))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=code.value[0], message=_cut(str(error)), details=[_packed(each) for each in details]
    )


def _bad_request(error: InvalidRequest) -> error_details_pb2.BadRequest:
    """The first violations, as many as fit into `MAX_VIOLATION_BYTES`."""
    answer = error_details_pb2.BadRequest()
    for each in error.violations:
        answer.field_violations.add(field=each.field, description=each.description)
        if answer.ByteSize() > MAX_VIOLATION_BYTES:
            if len(answer.field_violations) > 1:
                del answer.field_violations[-1]
            break
    return answer


def _cut(message: str) -> str:
    """The message, or its beginning if it is too long."""
    data = message.encode()
    if len(data) <= MAX_MESSAGE_BYTES:
        return message
    return data[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "..."


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
