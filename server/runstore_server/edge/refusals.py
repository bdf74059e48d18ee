"""Refusals within a call that goes on: one of many appends fails, and no other."""

from __future__ import annotations

import structlog
from google.rpc import status_pb2

from runstore_server.edge.errors import Internal, is_known, status_of
from runstore_server.edge.requests import request_id

_log = structlog.get_logger(__name__)


def refusal(error: Exception) -> status_pb2.Status:
    """The status of an append that failed; a defect is logged, as that of a call is."""
    current = request_id.get()
    if not is_known(error):
        _log.error("defect in one of many appends", exc_info=error)
        error = Internal(current)
    return status_of(error, current)
