"""Appends that share requests: which go together, and what became of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import grpc

from runstore.errors import (
    MAY_PASS,
    DeadlineExceeded,
    PermissionDenied,
    ProtocolError,
    RunstoreError,
    Unauthenticated,
    broken_stream,
    from_status,
)
from runstore.streams.appends import MAX_STREAM_BYTES
from runstore.v1 import run_service_pb2 as rpc

MAX_APPENDS = 1000
# An append of so many bytes goes alone: it would hold up those that share its request.
LARGE_BYTES = 64 * 1024
# The longest that an append waits for the request before it.
PATIENCE_SECONDS = 0.05

Outcome = rpc.AppendEventResponse | RunstoreError | None
"""The answer to an append; None if it has to be sent by itself."""


class Answer(Protocol):
    """A driver's future."""

    def done(self) -> bool: ...


A = TypeVar("A", bound=Answer)


@dataclass(slots=True, eq=False)
class Waiting(Generic[A]):
    """An append that waits for the request it will be part of, or for that request's response."""

    request: rpc.AppendEventRequest
    bytes: int
    deadline: float
    answer: A

    @property
    def seconds(self) -> float:
        """What is left of its time."""
        return max(self.deadline - time.monotonic(), 0.001)


def take(waiting: deque[Waiting[A]]) -> list[Waiting[A]]:
    """Take what fits into one request, without those that were given up."""
    batch: list[Waiting[A]] = []
    size = 0
    while waiting and len(batch) < MAX_APPENDS:
        size += waiting[0].bytes
        if batch and size > MAX_STREAM_BYTES:
            break
        first = waiting.popleft()
        if not first.answer.done():
            batch.append(first)
    return batch


def request_of(batch: Sequence[Waiting[Any]]) -> rpc.AppendManyRequest:
    return rpc.AppendManyRequest(
        project=batch[0].request.project, appends=[each.request for each in batch]
    )


def outcomes_of(response: rpc.AppendManyResponse, appends: int) -> list[Outcome]:
    """What the response says of each append."""
    if len(response.results) != appends:
        error = f"the server answered {len(response.results)} of {appends} appends"
        return [ProtocolError(error) for _ in range(appends)]
    return [
        from_status(each.error) if each.HasField("error") else each.appended
        for each in response.results
    ]


def failures(error: RunstoreError, batch: Sequence[Waiting[Any]]) -> list[Outcome]:
    """What the failure of the request means for each append.

    A failure that may pass is one of each of them, and so is a refusal of the caller. Any other may
    be the request's own, which is larger than theirs and unknown to older servers.
    """
    if not isinstance(error, (*MAY_PASS, DeadlineExceeded, Unauthenticated, PermissionDenied)):
        return [None] * len(batch)
    return [_failure(error, each) for each in batch]


def _failure(error: RunstoreError, waiting: Waiting[Any]) -> RunstoreError:
    if isinstance(error, DeadlineExceeded) and time.monotonic() < waiting.deadline:
        return broken_stream("the request that the append was part of ran out of time")
    return copy(error)


def is_unknown_method(error: RunstoreError) -> bool:
    """Whether the server is older than AppendMany."""
    return error.code is grpc.StatusCode.UNIMPLEMENTED
