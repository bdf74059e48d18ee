"""Problems."""

from __future__ import annotations

from pydantic import Field

from runstore_server.http.models.described import Described


class ViolationModel(Described):
    """A parameter that breaks a rule."""

    field: str
    description: str


class Problem(Described):
    """A refusal or failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = Field(
        default=None,
        description="ErrorReason of the gRPC contracts; absent for an unknown path or method.",
    )
    metadata: dict[str, str] = Field(default={}, description="Details that go with the reason.")
    request_id: str
    violations: list[ViolationModel] = Field(default=[], description="With INVALID_REQUEST.")
