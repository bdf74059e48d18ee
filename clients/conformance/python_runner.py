"""Executes the scenarios with the Python client; README.md defines the terms.

python python_runner.py --target HOST:PORT --scenarios FILE --project PREFIX --control URL
    --results FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import runstore
from python_seen import seen, seen_error
from python_steps import Runner

Json = dict[str, Any]


def resolved(value: Any, known: Json) -> Any:
    """The arguments with "$name.path" replaced by its value."""
    match value:
        case str() if value.startswith("$"):
            name, *path = value[1:].split(".")
            found = known[name]
            for part in path:
                found = found[int(part)] if isinstance(found, list) else found[part]
            return found
        case dict():
            return {name: resolved(each, known) for name, each in value.items()}
        case list():
            return [resolved(each, known) for each in value]
    return value


async def execute(runner: Runner, step: Json, known: Json) -> Json:
    try:
        arguments = resolved(step.get("args", {}), known)
        result = seen(await getattr(runner, step["do"])(arguments))
    except runstore.RunstoreError as error:
        return {"error": seen_error(error)}
    except Exception as error:
        return {"failed": repr(error)}
    if "as" in step:
        known[step["as"]] = result
    return {"result": result}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("target", "scenarios", "project", "control", "results"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    file = json.loads(Path(given.scenarios).read_text())
    results = asyncio.run(execute_all(file, given))
    Path(given.results).write_text(json.dumps(results))


async def execute_all(file: Json, given: argparse.Namespace) -> Json:
    results: Json = {}
    for scenario in file["scenarios"]:
        cases = file["payloads"] if scenario.get("each") == "payloads" else {"": None}
        for case, bound in cases.items():
            name = f"{scenario['name']}: {case}" if case else scenario["name"]
            project = f"{given.project}/{len(results)}"
            async with runstore.connect(given.target, project=project, timeout=300) as client:
                known: Json = {"project": project, "payload": bound}
                runner = Runner(client, given.control)
                results[name] = [await execute(runner, step, known) for step in scenario["steps"]]
    return results


if __name__ == "__main__":
    main()
