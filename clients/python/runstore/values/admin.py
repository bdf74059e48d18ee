"""Who may use a server: tokens, grants and limits, and the records of what was done about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from runstore.arguments import InvalidArgument, text
from runstore.values.words import WordEnum


class Role(WordEnum):
    """What a grant allows; docs/security.md says which calls."""

    RECORDER = 1
    READER = 2
    WRITER = 3
    ADMIN = 4
    OPERATOR = 5


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in projects: a project's name, a prefix of names that ends in "/*", or "*"."""

    role: Role
    project_pattern: str

    @classmethod
    def parse(cls, written: str, field: str = "grant") -> Grant:
        """The grant that is written as role@pattern, such as "writer@acme/*".

        Raise `InvalidArgument` for another text; `field` is what it says is wrong.
        """
        name, _, pattern = text(written, field).partition("@")
        roles = {str(role): role for role in Role}
        if name not in roles or not pattern:
            words = ", ".join(roles)
            raise InvalidArgument(
                field, f"must be ROLE@PROJECTS with a role of {words}, is {written!r}"
            )
        return cls(roles[name], pattern)

    def __str__(self) -> str:
        return f"{self.role}@{self.project_pattern}"


class PrincipalKind(WordEnum):
    """How a caller has shown who it is."""

    ANYBODY = 1
    TOKEN = 2
    JWT = 3
    CERTIFICATE = 4
    DATABASE = 5
    DUTY = 6


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a token's id, a JSON Web Token's subject, the name in a certificate, or, where the
    server does it of its own accord, which of its duties.
    """

    kind: PrincipalKind
    id: str
    issuer: str

    def __str__(self) -> str:
        return " ".join(each for each in (str(self.kind), self.id, self.issuer) if each)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the server takes the client for, and what it may do.

    `expires_at` is None if the credential does not expire.
    """

    principal: Principal
    grants: tuple[Grant, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret; its text begins with `prefix`.

    `last_used_at` is exact to about a minute; it and `revoked_at` are None if that never happened.
    """

    token_id: str
    prefix: str
    name: str
    grants: tuple[Grant, ...]
    created_by: Principal
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made, with its text, which is returned this once and not shown by `repr`."""

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may use of one server process, and what it may store; 0 is no limit."""

    calls_per_second: int
    events_per_second: int
    bytes_per_second: int
    streams: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """The limits of a project, when they were set (None: never), and how much it stores.

    `stored_bytes_used` lags writes by some seconds.
    """

    limits: Limits
    updated_at: datetime | None
    stored_bytes_used: int


@dataclass(frozen=True, slots=True)
class AdminRecord:
    """Who did what, or was refused it; the records of a project are a hash chain.

    `status` is "OK" or the reason of the refusal. `request` is JSON, without secrets.
    """

    number: int
    recorded_at: datetime
    method: str
    resource: str
    principal: Principal
    grants: tuple[Grant, ...]
    allowed: bool
    peer: str
    request_id: str
    call_id: str
    request: str
    status: str
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class RecordVerification:
    """The result of checking the chain of records; `problem` is empty if everything agrees.

    Keep `last_number` and `last_hash` elsewhere: they tell a chain that was made anew.
    """

    checked_records: int
    last_number: int
    last_hash: bytes
    problem: str
    problem_number: int

    @property
    def verified(self) -> bool:
        """Whether everything that was checked agrees."""
        return not self.problem
