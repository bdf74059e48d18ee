"""What can be changed: the targets of `targets.toml`, and every mutant of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import ndiff
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.mutants.changes import CHANGES

# What values can do beside holding fields, and the names of enums, is a matter of taste.
_SHAPES = ("@dataclass", "@override", "_log.")
# Finds defects only, or says what takes long enough for a thread.
_NO_MATTER = re.compile(r",? ?(strict=(True|False)|most=THREAD_\w+),?|,(?=\))")
_IS_TYPE = re.compile(r"\w+ = (Callable|Literal|Mapping|dict|tuple)\[")
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Target:
    """Files that are changed together with the tests that are to notice; all are globs."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change can be made: the `number`-th place for it in a file."""

    target: Target
    file: str
    change: str
    number: int
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.change}#{self.number}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one change; `before` and `after` are the words of the lines that it touches."""

    place: Place
    before: str
    after: str
    code: str = field(repr=False, compare=False)


def targets() -> Mapping[str, Target]:
    """The targets by name, in the order of the table."""
    table = tomllib.loads((_HERE / "targets.toml").read_text())
    return {
        name: Target(name, tuple(row["files"]), tuple(row["tests"])) for name, row in table.items()
    }


def are_equivalent(mutant: Mutant) -> bool:
    """Whether the table says that this mutant behaves as the code does."""
    file, before = mutant.place.file, mutant.before
    constant, is_given, _ = before.partition(" = ")
    known = {(file, before, mutant.after), (file, before, None)} & _equivalents()
    return bool(known) or bool(
        is_given and mutant.place.change == "NumberReplacer" and (file, constant) in _tuned()
    )


@cache
def _equivalents() -> set[tuple[str, str, str | None]]:
    """(file, before, after) of the mutants that behave as the code does; any `after` for None."""
    return {
        (row["file"], row["before"], row.get("after")) for row in _equivalents_table()["equivalent"]
    }


@cache
def _tuned() -> set[tuple[str, str]]:
    """(file, constant) of the numbers that may be others."""
    return {
        (row["file"], name) for row in _equivalents_table()["tuned"] for name in row["constants"]
    }


@cache
def _equivalents_table() -> Mapping[str, list[dict[str, Any]]]:
    return tomllib.loads((_HERE / "equivalents.toml").read_text())


def places_in(root: Path, target: Target) -> Iterator[Place]:
    """Every place in a target's files."""
    for path in sorted(path for glob in target.files for path in root.glob(glob)):
        nodes = list(ast_nodes(get_ast(path.read_text())))
        for change, operator in CHANGES.items():
            positions = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for number, (line, _) in enumerate(positions):
                yield Place(target, str(path.relative_to(root)), change, number, line)


def mutant_at(root: Path, place: Place) -> Mutant | None:
    """The mutant of a place; None if it is no other program, or the same as another place's."""
    source = (root / place.file).read_text()
    code = mutate_code(source, CHANGES[place.change], place.number)
    if code is None or " not not " in code or not _compiles(code):
        return None
    before, after = _difference(source, code)
    if (
        _NO_MATTER.sub("", before) == _NO_MATTER.sub("", after)
        or before.startswith(_SHAPES)
        or _IS_TYPE.match(before)
    ):
        return None
    return Mutant(place, before, after, code)


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _difference(source: str, code: str) -> tuple[str, str]:
    lines = [line for line in ndiff(source.splitlines(), code.splitlines()) if line[0] in "+-"]
    before, after = (
        " ".join(" ".join(line[2:] for line in lines if line[0] == sign).split()) for sign in "-+"
    )
    return before, after
