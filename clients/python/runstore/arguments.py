"""Arguments that a call cannot take."""

from __future__ import annotations


class InvalidArgument(TypeError, ValueError):
    """An argument that was refused before anything was sent; `field` is the path of the value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"
