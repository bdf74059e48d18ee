"""Judging the results of steps, and making those of different clients comparable.

Pure functions of the runners' output; README.md defines the terms.
"""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from typing import Any

Json = dict[str, Any]

MOST_INLINE_BYTES = 4096
MOST_SHOWN = 300

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX32 = re.compile(r"[0-9a-f]{32}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# Times from the server's clock; `occurred_at` is the caller's.
_TIMES = frozenset(
    {
        "completed_at",
        "committed_at",
        "created_at",
        "day",
        "expires_at",
        "moved_at",
        "at",
        "done_at",
        "placed_at",
        "put_at",
        "published_at",
        "recorded_at",
        "released_at",
        "revoked_at",
        "updated_at",
        "begun_at",
        "changed_at",
    }
)
_HASHES = frozenset({"birth", "content_hash", "hash", "last_hash", "previous_hash", "salt"})
# Those that the payload of a terminal event names.
_SALTED = re.compile(r'(?<=")[0-9a-f]{64}(?=")')
# Of a call, whatever it is about.
_OF_CALLS = frozenset({"call_id", "peer", "secret"})
# Where the id of a token is.
_OF_TOKENS = frozenset({"prefix", "resource", "token_id"})
_TOKEN = re.compile(r"(?<![0-9a-z])[0-9a-z]{12}(?![0-9a-z])")
# How far a removal or an archive has come is for the server to say, and how large the archive is.
_PROGRESS = frozenset({"done_at", "removed_events", "state", "size", "manifest_hash"})
# Whether policies are applied just now is, too.
_WARNINGS = frozenset({"warnings"})
# About how many they are depends on what the project is called.
_ABOUT = frozenset({"bytes"})
# Positions count the events of all projects of the database.
_POSITIONS = frozenset(
    {"counted_position", "first_position", "indexed_position", "last_position", "next_position"}
)


def cases(file: Json) -> dict[str, tuple[Json, Any]]:
    """Each scenario by its name, once for each payload if it says so, with that payload."""
    found = {}
    for scenario in file["scenarios"]:
        bound = file["payloads"] if scenario.get("each") == "payloads" else {"": None}
        for case, payload in bound.items():
            name = f"{scenario['name']}: {case}" if case else scenario["name"]
            found[name] = scenario, payload
    return found


def problems(scenario: Json, seen: list[Json], known: Json) -> list[str]:
    """How the results differ from the scenario; `known` are the values of references."""
    if len(seen) != len(scenario["steps"]):
        return [f"{len(seen)} of {len(scenario['steps'])} steps were executed"]
    found = []
    for number, (step, done) in enumerate(zip(scenario["steps"], seen, strict=True), start=1):
        if "as" in step:
            known[step["as"]] = done.get("result")
        found += [f"step {number} ({step['do']}): {each}" for each in _step(step, done, known)]
    return found


def _step(step: Json, done: Json, known: Json) -> list[str]:
    wanted = "error" if "error" in step else "result"
    if wanted not in done:
        return [f"expected {'an error' if wanted == 'error' else 'a result'}, got {_short(done)}"]
    if wanted == "result":
        return _differences(step.get("expect", {}), done["result"], known, "result")
    error = dict(done["error"])
    expected = dict(step["error"])
    if "fields" in expected:
        error["fields"] = [each["field"] for each in error.get("violations", [])]
    return _differences(expected, error, known, "error")


def _differences(expected: Any, seen: Any, known: Json, path: str) -> list[str]:
    if isinstance(expected, dict):
        if "match" in expected:
            return _unmatched(expected["match"], seen, path)
        if "sameAs" in expected:
            wanted = _shown(_referred(expected["sameAs"], known))
            return [] if wanted == seen else [f"{path}: {_short(seen)} is not {_short(wanted)}"]
        if "counts" in expected:
            return _miscounted(expected, seen, path)
        if not isinstance(seen, dict):
            return [f"{path}: expected an object, got {_short(seen)}"]
        return [
            problem
            for name, each in expected.items()
            for problem in _differences(each, seen.get(name), known, f"{path}.{name}")
        ]
    if isinstance(expected, list):
        if not isinstance(seen, list) or len(seen) != len(expected):
            return [f"{path}: expected {len(expected)} items, got {_short(seen)}"]
        return [
            problem
            for index, (want, got) in enumerate(zip(expected, seen, strict=True))
            for problem in _differences(want, got, known, f"{path}[{index}]")
        ]
    if type(expected) is not type(seen) or expected != seen:
        return [f"{path}: expected {_short(expected)}, got {_short(seen)}"]
    return []


def _unmatched(word: str, seen: Any, path: str) -> list[str]:
    text = seen if isinstance(seen, str) else ""
    is_right = {
        "any": seen is not None,
        "absent": seen is None,
        "day": bool(_DAY.fullmatch(text)),
        "number": isinstance(seen, int) and not isinstance(seen, bool),
        "hex32": bool(_HEX32.fullmatch(text)),
        "hex64": bool(_HEX64.fullmatch(text)),
        "time": bool(_TIME.fullmatch(text)),
        "uuid": bool(_UUID.fullmatch(text)),
    }[word]
    return [] if is_right else [f"{path}: {_short(seen)} is not {word}"]


def _miscounted(expected: Json, seen: Any, path: str) -> list[str]:
    steps = expected["counts"].split(".")
    found = []
    for item in seen or []:
        for step in steps:
            item = item.get(step) if isinstance(item, dict) else None  # noqa: PLW2901 - walked down
        if item is not None:
            found.append(item)
    wanted = list(range(expected["from"], expected["to"] + 1))
    return [] if found == wanted else [f"{path}: {_short(found)} does not count {_short(wanted)}"]


def _referred(reference: str, known: Json) -> Any:
    name, *path = reference.removeprefix("$").split(".")
    try:
        found = known[name]
        for part in path:
            found = found[int(part)] if isinstance(found, list) else found[part]
    except (IndexError, KeyError, TypeError):
        return f"the value of {reference}, which was not returned"
    return found


def _shown(value: Any) -> Any:
    """A payload of a scenario as the runners write one that they read."""
    if not isinstance(value, dict) or not ({"json", "base64"} & value.keys()):
        return value
    is_json = "json" in value
    text = value.get("json")
    if isinstance(text, dict):
        text = "".join(piece * times for piece, times in text["repeat"])
    data = text.encode() if is_json else base64.b64decode(value["base64"])
    rest = {name: each for name, each in value.items() if name == "content_type"}
    if len(data) <= MOST_INLINE_BYTES:
        return rest | ({"json": text} if is_json else {"base64": value["base64"]})
    digest = sha256(data).hexdigest()
    return rest | {"is_json": is_json, "sha256": digest, "size": len(data)}


def normalised(steps: list[Json], project: str) -> list[Json]:
    """The results with stable names for values that depend on the server, the clock or chance.

    Equal values have equal names.
    """
    names: dict[str, str] = {}

    def name(kind: str, value: str) -> str:
        return names.setdefault(value, f"<{kind} {len(names) + 1}>")

    def of(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            kept = value.keys() - _untold(value)
            return {each: of(each, value[each]) for each in sorted(kept)}
        if isinstance(value, list):
            return [of(key, each) for each in value]
        if key in _POSITIONS:
            return "<position>"
        if key == "position":
            return name("position", f"position {value}") if value else value
        if key in _TIMES:
            return "<time>"  # events of one batch may share it
        if key in _OF_CALLS:
            return f"<{key}>"
        if key in _OF_TOKENS:
            return _TOKEN.sub(lambda found: name("token", found[0]), value)
        if key in _HASHES:
            return name("hash", value)
        if isinstance(value, str):
            value = _SALTED.sub(lambda found: name("hash", found[0]), value)
            return _UUID.sub(
                lambda found: name("id", found[0]), value.replace(project, "<project>")
            )
        return value

    return [of("", step) for step in steps]


def _untold(fields: Json) -> frozenset[str]:
    """The names of what is not the same for every client that does the same."""
    of = {
        "begun_at": _PROGRESS,
        "removal_id": _PROGRESS,
        "looked_at_runs": _WARNINGS,
        "sample_run_ids": _ABOUT,
    }
    return frozenset().union(*(names for name, names in of.items() if name in fields))


def written(results: dict[str, list[Json]]) -> str:
    return json.dumps(results, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
