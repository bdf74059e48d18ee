"""Statements: plain SQL with parameters by name, compiled once to the driver's text.

The statement you read is the statement that runs: its parameters are numbered, and that once.
SQLAlchemy's tables (`sql/tables.py`) are what migrations are checked against; no statement is made
from them. Tests have Postgres prepare every statement on a migrated schema, which proves that
migrations and statements speak of the same columns.

Each statement says whose rows it touches:

- `tenant`: those of the project that the call may touch. The text compares with `:scope`, which
  nobody passes: it is the bound scope's, and without one nothing is sent.
- `tenants`: rows that several calls asked for together, each compared with the scope of its own
  call, which whoever gathered them has kept.
- `system`: any. For what the server does of its own accord, and for what has no project; a test
  lists these by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from runstore_storage.contract.scope import current_scope

# A colon before a name, unless it is part of a cast (`::bigint`) or stands within a word.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_SCOPE = "scope"
# What a text of these kinds has to hold: rows of the scope's project are read or changed, or made.
_ONE_PROJECT = re.compile(
    r"\bproject = :scope\b"
    r"|\bINSERT INTO \w+ \(project,[^()]*\)\s+VALUES \(:scope,"
    r"|'=project:' \|\| [^@]*:scope\b"  # the lexeme of a search row's project
)
_EACH_ITS_PROJECT = re.compile(r"\bproject = (?:new|asked)\.scope\b")

NO_VALUES: Mapping[str, object] = {}


class Kind(Enum):
    """Whose rows a statement touches."""

    TENANT = auto()
    TENANTS = auto()
    SYSTEM = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in the driver's text, and which parameters are passed for $1, $2, ...

    Before those of a TENANT goes the project of the scope.
    """

    sql: str
    parameters: tuple[str, ...]
    kind: Kind

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """The values as the driver takes them.

        Raise `TypeError` unless they fit the parameters, `NoScope` if the scope is missing.
        """
        # Together these two say that the names are the same, at the cost of neither set.
        if len(values) == len(self.parameters):
            try:
                given = [values[name] for name in self.parameters]
            except KeyError:
                pass
            else:
                return [current_scope().project, *given] if self.kind is Kind.TENANT else given
        raise TypeError(self._misfit(values))

    def _misfit(self, values: Mapping[str, object]) -> str:
        missing = [name for name in self.parameters if name not in values]
        unknown = [name for name in values if name not in self.parameters]
        return f"statement misses values for {missing} and has no parameters {unknown}: {self.sql}"


# Texts that are put together when they are needed are compiled once, too.
@lru_cache(maxsize=1024)
def tenant(text: str) -> Statement:
    """A statement on the rows of the scope's project; raise `TypeError` if it names no scope.

    In the text `:name` stands for a parameter, any number of times.
    """
    return _compiled(text, Kind.TENANT, _ONE_PROJECT)


@lru_cache(maxsize=1024)
def tenants(text: str) -> Statement:
    """A statement on rows `asked` or `new`, each with its `scope`; raise `TypeError` likewise."""
    return _compiled(text, Kind.TENANTS, _EACH_ITS_PROJECT)


@lru_cache(maxsize=1024)
def system(text: str) -> Statement:
    """A statement on any rows; raise `TypeError` if it names a scope."""
    if f":{_SCOPE}" in text:
        raise TypeError(f"a statement of the system has no scope: {text}")
    return _compiled(text, Kind.SYSTEM)


def _compiled(text: str, kind: Kind, needed: re.Pattern[str] | None = None) -> Statement:
    if needed and not needed.search(text):
        raise TypeError(f"a statement on tenants' rows does not compare with the scope: {text}")
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    passed = names
    if kind is Kind.TENANT:
        passed = tuple(name for name in names if name != _SCOPE)
        names = (_SCOPE, *passed)
    numbers = {name: number for number, name in enumerate(names, 1)}
    return Statement(_PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text), passed, kind)
