"""The project that a call may touch: decided at the edge, bound to the call, never read from what
the call asks for.

Statements on tenants' rows take it from here by themselves, and refuse to run without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from runstore_storage.contract.heads import RunKey


class NoScope(Exception):
    """A statement on a tenant's rows was about to run for a call that no project was bound to.

    Nobody's fault but the server's: a call was served without a decision.
    """


class ScopeMismatch(NoScope):
    """Something was about to be written to another project than the one that was bound."""


class Scope(NamedTuple):  # a tuple, as it is looked up several times in each append
    """What one call may touch: the rows of one project."""

    project: str


_bound: ContextVar[Scope | None] = ContextVar("scope", default=None)


def bind(scope: Scope) -> None:
    """Let the current task, and the tasks that it makes from now on, touch what `scope` has."""
    _bound.set(scope)


@contextmanager
def bound(scope: Scope) -> Iterator[None]:
    """The same, for a block."""
    before = _bound.set(scope)
    try:
        yield
    finally:
        _bound.reset(before)


def current_scope() -> Scope:
    """The scope of the current call; raise `NoScope` where none was bound."""
    scope = _bound.get()
    if scope is None:
        raise NoScope
    return scope


def in_scope(project: str) -> None:
    """Raise `ScopeMismatch` unless rows of this project may be made."""
    if project != current_scope().project:
        raise ScopeMismatch


class ScopedKey(NamedTuple):
    """A run as a call asks for it: what the call may touch, and the key that it gave.

    What calls share is kept by it, so that none finds what a call of another project left.
    """

    scope: Scope
    key: RunKey


def own(key: RunKey) -> ScopedKey:
    """The key with the one scope that has the run."""
    return ScopedKey(Scope(key.project), key)


def scoped(key: RunKey) -> ScopedKey:
    """The key with the current scope."""
    return ScopedKey(current_scope(), key)
