"""Signatures that name the fields which a method takes as `**fields: Unpack[...]`."""

from __future__ import annotations

from inspect import Parameter, signature
from types import FunctionType
from typing import Any


class _LeftOut:
    """What stands for the value of a field that is not given."""

    def __repr__(self) -> str:
        return "..."


_LEFT_OUT = _LeftOut()


def show_fields(*classes: type) -> None:
    """Let `help` and `inspect.signature` show every field of the classes' methods by its name."""
    for each in classes:
        for method in vars(each).values():
            if isinstance(method, FunctionType):
                _show_fields(method)


def _show_fields(method: FunctionType) -> None:
    given = signature(method)
    *named, last = given.parameters.values()
    if last.kind is Parameter.VAR_KEYWORD:
        kind = method.__globals__[last.annotation.removeprefix("Unpack[").removesuffix("]")]
        fields = [_field(name, hint) for name, hint in kind.__annotations__.items()]
        method.__signature__ = given.replace(parameters=[*named, *fields])  # type: ignore[attr-defined]  # typeshed leaves it out


def _field(name: str, hint: Any) -> Parameter:
    shown = getattr(hint, "__forward_arg__", hint)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=_LEFT_OUT, annotation=shown)
