"""The work: statistics of a package's source code."""

from __future__ import annotations

import ast
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LIBRARY = Path(sysconfig.get_path("stdlib"))
Functions = ast.FunctionDef | ast.AsyncFunctionDef


def inventory(packages: Sequence[str]) -> dict[str, int]:
    """The number of source files of each package."""
    return {package: sum(1 for _ in _sources(package)) for package in packages}


def analyse(package: str) -> dict[str, Any]:
    """Lines, functions, documentation and imports of a package."""
    lines = documented = 0
    longest = ("", 0)
    functions: list[Functions] = []
    imports: Counter[str] = Counter()
    for path in _sources(package):
        text = path.read_text(encoding="utf-8", errors="replace")
        lines += text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Functions):
                functions.append(node)
                documented += ast.get_docstring(node) is not None
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                longest = max(longest, (f"{path.name}:{node.name}", length), key=lambda x: x[1])
            elif isinstance(node, ast.Import):
                imports.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imports[node.module.partition(".")[0]] += 1
    return {
        "package": package,
        "lines": lines,
        "functions": len(functions),
        "documented": documented,
        "longest_function": list(longest),
        "imports": dict(sorted(imports.items())),
    }


def compare(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The packages by size, and how much of each is documented."""
    by_size = sorted(results, key=lambda name: (-results[name]["lines"], name))
    documented = {
        name: round(results[name]["documented"] / max(results[name]["functions"], 1), 3)
        for name in by_size
    }
    return {"by_size": by_size, "documented": documented}


def look_into(package: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Which of the other packages this one imports, and which import it."""
    return {
        "package": package,
        "needs": sorted(set(results[package]["imports"]) & set(results) - {package}),
        "needed_by": sorted(
            name for name in results if package in results[name]["imports"] and name != package
        ),
        "longest_function": results[package]["longest_function"],
    }


def _sources(package: str) -> Iterator[Path]:
    folder = LIBRARY / package
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a package of the standard library")
    yield from sorted(path for path in folder.rglob("*.py") if "test" not in path.parts)
