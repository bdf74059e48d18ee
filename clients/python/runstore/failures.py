"""Failures: what the status of a failed call says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "runstore.v1"
DETAILS_KEY = "grpc-status-details-bin"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


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


def failure_of_call(error: grpc.RpcError) -> Failure:
    """The failure of a gRPC call, sync or async."""
    trailing: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]  # of either kind of call
    for name, value in trailing:
        if name == DETAILS_KEY:
            with suppress(DecodeError):  # not ours; the code still says what happened
                return failure_of_status(status_pb2.Status.FromString(value))
    code = error.code()
    return Failure(code, error.details() or code.name)


def failure_of_status(status: status_pb2.Status) -> Failure:
    """The failure that a status with details describes."""
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
    return Failure(
        code=_CODES.get(status.code, grpc.StatusCode.UNKNOWN),
        message=status.message,
        reason=info.reason if info.domain == DOMAIN else "",
        metadata=dict(info.metadata),
        violations=tuple((each.field, each.description) for each in bad.field_violations),
        request_id=request.request_id,
        retry_after=delay.seconds + delay.nanos / 1e9 if retry.HasField("retry_delay") else None,
    )


def broken(message: str) -> Failure:
    """The failure of a connection or stream that broke without a status from the server."""
    return Failure(grpc.StatusCode.UNAVAILABLE, message)
