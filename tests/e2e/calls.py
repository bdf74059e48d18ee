"""The calls of calls.yaml, which names every RPC."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_TABLE = Path(__file__).with_name("calls.yaml")


@dataclass(frozen=True, slots=True)
class Call:
    """An RPC, the requests to send, and the responses and the status to expect."""

    method: str
    requests: list[Any]
    answers: list[Any]
    error: dict[str, Any]
    seconds: int | None

    @property
    def code(self) -> int:
        """The code of the expected status."""
        return int(self.error.get("code", 0))


def calls() -> list[Call]:
    """The calls in the order in which they are to be made."""
    return [
        Call(
            method=row["method"],
            requests=_listed(row["send"]),
            answers=_listed(row.get("answer", [])),
            error=row.get("error", {}),
            seconds=row.get("seconds"),
        )
        for row in yaml.safe_load(_TABLE.read_text())
    ]


def make(call: Call, command: list[str], path: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the call's requests on its standard input."""
    return subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        input="\n".join(json.dumps(each) for each in call.requests),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
