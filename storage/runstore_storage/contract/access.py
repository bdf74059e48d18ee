"""Who calls, and what that caller may do where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

ALL_PROJECTS = "*"
BELOW = "/*"
SERVER = ""
"""Stands for the server itself where a project is asked for; no project has this name."""


class Role(IntEnum):
    RECORDER = 1
    READER = 2
    WRITER = 3
    ADMIN = 4
    OPERATOR = 5


INCLUDED: dict[Role, frozenset[Role]] = {
    Role.RECORDER: frozenset({Role.RECORDER}),
    Role.READER: frozenset({Role.READER}),
    Role.WRITER: frozenset({Role.RECORDER, Role.READER, Role.WRITER}),
    Role.ADMIN: frozenset({Role.RECORDER, Role.READER, Role.WRITER, Role.ADMIN}),
    Role.OPERATOR: frozenset({Role.OPERATOR}),
}
"""The roles whose rights a role has."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in the projects of a pattern: a name, a prefix and "/*", or "*"."""

    role: Role
    pattern: str

    def covers(self, project: str) -> bool:
        """Whether the pattern has the project; SERVER is in no pattern."""
        if self.pattern == ALL_PROJECTS:
            return project != SERVER
        if self.pattern.endswith(BELOW):
            below = self.pattern[:-1]
            return project.startswith(below) and project != below
        return project == self.pattern

    def allows(self, role: Role, project: str) -> bool:
        """Whether it has what `role` has in a project; an operator's reaches the server, too."""
        if self.role is Role.OPERATOR:
            return role is Role.OPERATOR
        return role in INCLUDED[self.role] and self.covers(project)

    def contains(self, other: Grant) -> bool:
        """Whether it allows all that `other` does."""
        if other.role not in INCLUDED[self.role]:
            return False
        if self.pattern in (ALL_PROJECTS, other.pattern):
            return True
        if other.pattern == ALL_PROJECTS or not self.pattern.endswith(BELOW):
            return False
        return other.pattern.startswith(self.pattern[:-1])

    def __str__(self) -> str:
        return f"{self.role.name.lower()}@{self.pattern}"


def allowed(grants: Iterable[Grant], role: Role, project: str) -> bool:
    """Whether any of the grants has what `role` has in a project."""
    return any(grant.allows(role, project) for grant in grants)


class PrincipalKind(IntEnum):
    ANYBODY = 1
    TOKEN = 2
    JWT = 3
    CERTIFICATE = 4
    DATABASE = 5
    DUTY = 6


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a token's id, a JSON Web Token's subject, the name in a certificate, or a duty."""

    kind: PrincipalKind
    id: str = ""
    issuer: str = ""
