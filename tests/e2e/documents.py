"""The commands in a document and the output that it shows for them.

A command is a block of `sh`. A block of `json` or `text` right after it is its output; `exit=N` in
the first line of that block is the exit code, 0 by default. In an output

- `…` in a string or a line matches anything, and a string `"…"` any JSON value that is neither an
  object nor an array;
- a line `…` matches any lines, a JSON member `"…": "…"` any members, a last item `"…"` any items.

JSON is compared by value, text word by word.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANY = "…"
_BLOCKS = re.compile(
    r"^```sh\n(?P<command>.*?)^```$(?:\n+^```(?P<kind>json|text)(?: exit=(?P<code>\d+))?\n"
    r"(?P<output>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A command and its expected output; `kind` is empty if the document shows no output."""

    line: int
    command: str
    kind: str
    code: int
    output: str


def examples(document: Path) -> list[Example]:
    """The examples of a document, in order."""
    text = document.read_text()
    return [
        Example(
            line=text.count("\n", 0, found.start("command")) + 1,
            command=found["command"],
            kind=found["kind"] or "",
            code=int(found["code"] or 0),
            output=found["output"] or "",
        )
        for found in _BLOCKS.finditer(text)
    ]


def run(example: Example, target: str, path: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with bash in the folder, with `target` as the address of the server."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.command.replace("localhost:7411", target)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def blocks(document: Path) -> list[tuple[str, str]]:
    """All fenced blocks, in order: the info string of the opening fence, and the text."""
    return re.findall(r"^ *```(.*)\n((?:.*\n)*?) *```$", document.read_text(), re.MULTILINE)


def consoles(document: Path) -> list[tuple[str, str]]:
    """The commands after `$ ` in blocks of `console`, each with its output."""
    blocks = re.findall(r"^```console\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)
    return [(first[2:], output) for first, _, output in (each.partition("\n") for each in blocks)]


def is_text(wanted: str, got: str) -> bool:
    """True if the text matches the shown text, in which `…` matches anything."""
    return bool(_text_pattern(wanted).fullmatch(_words(got)))


def difference(example: Example, code: int, output: str) -> str:
    """How a result differs from the document; empty if it does not."""
    if code != example.code:
        return f"exits with {code}, not {example.code}"
    if example.kind == "json":
        return json_difference(values(example.output), values(output))
    if example.kind == "text" and not is_text(example.output, output):
        return "the text differs"
    return ""


def values(text: str) -> list[Any]:
    """The consecutive JSON values in a text."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found


def json_difference(wanted: Any, got: Any, where: str = "$") -> str:
    """The first difference of a JSON value from the shown one; empty if there is none."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return _object_difference(wanted, got, where)
    if isinstance(wanted, list) and isinstance(got, list):
        return _list_difference(wanted, got, where)
    if isinstance(wanted, str) and ANY in wanted and not isinstance(got, dict | list):
        return "" if _pattern(wanted).fullmatch(str(got)) else f"{where} is {got!r}"
    if type(wanted) is not type(got) or wanted != got:
        return f"{where} is {got!r}, not {wanted!r}"
    return ""


def _object_difference(wanted: dict[str, Any], got: dict[str, Any], where: str) -> str:
    missing, more = wanted.keys() - got.keys() - {ANY}, got.keys() - wanted.keys()
    if missing or (more and ANY not in wanted):
        return f"{where} lacks {sorted(missing)} and has {sorted(more)} more"
    both = (
        json_difference(wanted[key], got[key], f"{where}.{key}") for key in got if key in wanted
    )
    return next(filter(None, both), "")


def _list_difference(wanted: list[Any], got: list[Any], where: str) -> str:
    if wanted[-1:] == [ANY]:
        wanted, got = wanted[:-1], got[: len(wanted) - 1]
    if len(wanted) != len(got):
        return f"{where} has {len(got)} items, not {len(wanted)}"
    pairs = enumerate(zip(wanted, got, strict=True))
    found = (json_difference(*pair, f"{where}[{index}]") for index, pair in pairs)
    return next(filter(None, found), "")


def _text_pattern(text: str) -> re.Pattern[str]:
    lines = _words(text).splitlines()
    parts = [r"(?:.*\n)*" if line == ANY else _pattern(line).pattern + "\n" for line in lines]
    return re.compile("".join(parts))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split(ANY))))


def _words(text: str) -> str:
    """The text with single spaces and without empty lines."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)
