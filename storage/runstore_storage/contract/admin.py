"""Tokens, limits of projects, and the records of what was done about them.

An empty project stands for the server itself. Every act is recorded in its own transaction. An act
repeated with the same `request_id` and request returns the first answer; a request_id that is known
with another request raises `IdempotencyMismatch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.access import Grant, Principal
from runstore_storage.contract.pages import Page

MARK = "rs1_"
"""How the text of every token begins; its id follows."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    token_id: str
    project: str
    name: str
    grants: tuple[Grant, ...]
    created_by: Principal
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def prefix(self) -> str:
        """How the text of the token begins."""
        return MARK + self.token_id


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token, and the SHA-256 of its secret."""

    token: Token
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be made; it expires `lifetime_seconds` after it was."""

    token_id: str
    project: str
    name: str
    grants: tuple[Grant, ...]
    lifetime_seconds: float
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class TokenCursor:
    """Where a page of tokens ended."""

    created_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may use of one server process, and what it may store; 0 is no limit."""

    calls_per_second: int = 0
    events_per_second: int = 0
    bytes_per_second: int = 0
    streams: int = 0
    stored_bytes: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """The limits of a project, when they were set (None: never), and how much it stores.

    `stored_bytes_used` is what the holder of the duty `stored bytes` has added up so far.
    """

    limits: Limits
    updated_at: datetime | None
    stored_bytes_used: int


@dataclass(frozen=True, slots=True)
class Act:
    """An administrative call as it is recorded, but for how it ended.

    `request` is the request as JSON without secrets; `call_id` is the edge's id of the call, and
    `request_id` the one that the request has to be repeated by, which may be empty.
    """

    project: str
    method: str
    resource: str
    principal: Principal
    grants: tuple[Grant, ...]
    peer: str
    call_id: str
    request_id: str
    request: str


@dataclass(frozen=True, slots=True)
class AdminRecord:
    """A recorded act; `status` is "OK" or the reason why it was refused."""

    act: Act
    number: int
    recorded_at: datetime
    is_allowed: bool
    status: str
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class RecordVerification:
    """The result of checking the chain of records; `problem` is empty if all of it agrees."""

    checked_records: int
    last_number: int
    last_hash: bytes
    problem: str
    problem_number: int


class AdminStore(Protocol):
    """Who may use the store, and how much of it."""

    async def credential_epoch(self) -> int:
        """A number that grows when a token is revoked or limits are set."""

    async def find_token(self, token_id: str) -> KnownToken | None:
        """One token of any project, revoked and expired ones too."""

    async def note_use(self, used: Mapping[str, datetime]) -> None:
        """Note when tokens were last used, unless a later use is known."""

    async def create_token(self, new: NewToken, act: Act) -> tuple[Token, bool]:
        """Make a token; True with it if an earlier act made it, whose secret it keeps."""

    async def list_tokens(
        self, project: str, *, limit: int, after: TokenCursor | None
    ) -> Page[Token, TokenCursor]:
        """Return the tokens of a project, newest first."""

    async def revoke_token(self, token_id: str, act: Act) -> tuple[Token, bool]:
        """End a token of the act's project; True with it if it had ended. `TokenNotFound`."""

    async def set_limits(self, limits: Limits, act: Act) -> tuple[Limits, bool]:
        """Replace the limits of the act's project; True if an earlier act had done it."""

    async def get_limits(self, project: str) -> ProjectLimits:
        """Return a project's limits, and how much it stores."""

    async def all_limits(self) -> Mapping[str, Limits]:
        """Return the limits of every project that has any."""

    async def stored_bytes(self) -> Mapping[str, int]:
        """Return how much each project stores that has a limit of it; 0 may be left out."""

    async def list_projects(
        self, patterns: Collection[str], *, limit: int, after: str
    ) -> Page[str, str]:
        """Return the projects of these patterns that have runs or configs, by name."""

    async def record_refusal(self, act: Act, status: str) -> None:
        """Record an act that was refused, whatever the scope of the call."""

    async def list_records(
        self, project: str, *, limit: int, after: int | None
    ) -> Page[AdminRecord, int]:
        """Return the records of a project, greatest number first."""

    async def verify_records(self, project: str, *, from_number: int) -> RecordVerification:
        """Recompute the hash chain of a project's records from a number on."""
